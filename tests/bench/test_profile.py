from __future__ import annotations

from bench.profile import Profile


def test_samples_are_counted_once_for_each_function_on_a_stack() -> None:
    profile = Profile().add(
        [
            "run (a.py:1);walk (b.py:2);walk (b.py:9) 3",
            "run (a.py:1) 1",
            "run (a.py:1);Worker.main_loop (ray/_private/worker.py:7) 50",
            "not a sample",
        ]
    )
    assert profile.total == 4
    assert profile.own == {"walk (b.py": 3, "run (a.py": 1}
    assert profile.inclusive == {"run (a.py": 4, "walk (b.py": 3}
