// Two texts, line by line: what went and what came, by the longest common part.
export type DiffLine = { sign: "-" | "+"; line: string; at: number };
/** Beyond this the table of the longest common part is not worth its memory. */
const MOST_LINES = 1_500;

export function lineDiff(before: string, after: string): DiffLine[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [gone, come] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  if (gone.length > MOST_LINES || come.length > MOST_LINES) return [...marked("-", gone, head), ...marked("+", come, head)];
  const common = lengths(gone, come);
  const out: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < gone.length || j < come.length) {
    if (i < gone.length && j < come.length && gone[i] === come[j]) [i, j] = [i + 1, j + 1];
    else if (j >= come.length || (i < gone.length && (common[i + 1]?.[j] ?? 0) >= (common[i]?.[j + 1] ?? 0))) {
      out.push({ sign: "-", line: gone[i] ?? "", at: head + i + 1 });
      i += 1;
    } else {
      out.push({ sign: "+", line: come[j] ?? "", at: head + j + 1 });
      j += 1;
    }
  }
  return out;
}

const marked = (sign: "-" | "+", lines: string[], from: number): DiffLine[] => lines.map((line, n) => ({ sign, line, at: from + n + 1 }));

/** How long the common part is from each pair of places on. */
function lengths(a: string[], b: string[]): number[][] {
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const row = table[i] as number[];
      row[j] = a[i] === b[j] ? 1 + (table[i + 1]?.[j + 1] ?? 0) : Math.max(table[i + 1]?.[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return table;
}
