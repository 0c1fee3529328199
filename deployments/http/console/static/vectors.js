// Arithmetic on unit vectors.

export function cosine(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i += 1) sum += one[i] * other[i];
  return sum;
}

export function similarities(vectors) {
  return vectors.map((one) => vectors.map((other) => cosine(one, other)));
}

// The nearest others of each row, best first.
export function neighbours(matrix, count) {
  return matrix.map((row, self) =>
    row
      .map((value, index) => ({ value, index }))
      .filter(({ index }) => index !== self)
      .sort((a, b) => b.value - a.value)
      .slice(0, count),
  );
}

// The share of nearest neighbours that two versions agree on.
export function overlap(one, other) {
  const shares = one.map((row, i) => {
    const found = new Set(other[i].map(({ index }) => index));
    return row.filter(({ index }) => found.has(index)).length / Math.max(row.length, 1);
  });
  return shares.reduce((a, b) => a + b, 0) / Math.max(shares.length, 1);
}
