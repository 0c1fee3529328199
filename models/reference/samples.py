"""A hundred texts of many languages, scripts and lengths."""

from __future__ import annotations

SENTENCES = (
    "The weather is lovely today, isn't it?",
    "Größe und Ähnlichkeit hängen nicht vom Maßstab ab.",
    "L'été dernier, nous avons visité l'île déserte.",
    "El niño comió una manzana en el jardín.",
    "Il gatto dorme sul divano più comodo.",
    "A ação começou às três da manhã.",
    "De fietsenmaker repareert de ketting.",
    "Zażółć gęślą jaźń, proszę pana.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Быстрая лиса прыгает через ленивую собаку.",
    "Η γρήγορη αλεπού πηδάει πάνω από τον σκύλο.",
    "İstanbul'da hava bugün çok güzel.",
    "הילד אכל תפוח בגן.",
    "القط ينام على الأريكة.",
    "मौसम आज बहुत सुहावना है।",
    "สวัสดีครับ วันนี้อากาศดีมาก",
    "今天的天气很好，我们去公园吧。",
    "今日は天気がいいので散歩に行きました。",
    "오늘은 날씨가 정말 좋네요.",
    "Hôm nay trời đẹp quá, chúng ta đi dạo nhé.",
)


def texts() -> list[str]:
    """Each sentence as it is, in capitals, with numbers and signs, repeated, and very long."""
    return [
        variant
        for sentence in SENTENCES
        for variant in (
            sentence,
            sentence.upper(),
            f"[{sentence}] #42: 3.14 % (x_1) 🙂",
            f"{sentence} {sentence}\n{sentence}",
            " ".join([sentence] * 60),
        )
    ]
