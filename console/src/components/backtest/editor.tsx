// The policies' texts, edited here and nowhere else; beneath, what was edited.
import { useState } from "preact/hooks";
import { lineDiff } from "../../data/line_diff";
import type { PolicyText } from "../../data/types";

type Props = { of: PolicyText[]; edits: Record<string, string>; setEdits: (edits: Record<string, string>) => void };

export function Editor({ of, edits, setEdits }: Props) {
  const [file, setFile] = useState(of[0]?.file ?? "");
  const shown = of.find((one) => one.file === file);
  if (!shown) return null;
  const text = edits[file] ?? shown.text;
  const edit = (to: string): void => {
    const { [file]: _, ...others } = edits;
    setEdits(to === shown.text ? others : { ...others, [file]: to });
  };
  return (
    <div class="stack tight pad">
      <div class="row" role="group" aria-label="Policy file">
        {of.map((one) => <button key={one.file} class={`btn small ${one.file === file ? "" : "plain"}`} aria-pressed={one.file === file} onClick={() => setFile(one.file)}>{one.file}{edits[one.file] !== undefined && <span class="warn">·</span>}{edits[one.file] !== undefined && <span class="hidden-visually"> edited</span>}</button>)}
        {edits[file] !== undefined && <button class="btn small" onClick={() => edit(shown.text)}>As in force</button>}
      </div>
      <textarea class="mono policy" spellcheck={false} autocomplete="off" aria-label={`Text of ${file}`} value={text} onInput={(event) => edit(event.currentTarget.value)} />
      <span class="muted">{shown.shipped ? "In force: the text that this build ships." : "In force: the file in the brain's policies folder."}</span>
      {of.filter((one) => edits[one.file] !== undefined).map((one) => <TextDiff key={one.file} of={one} edited={edits[one.file] ?? ""} />)}
    </div>
  );
}

const TextDiff = ({ of, edited }: { of: PolicyText; edited: string }) => (
  <div class="diff lines" role="group" aria-label={`What was edited in ${of.file}`}>
    {lineDiff(of.text, edited).slice(0, 200).map(({ sign, line, at }) => (
      <div key={`${sign}${at}`}><span class="muted num">{of.file}:{at}</span>{sign === "-" ? <del>{line}</del> : <ins>{line}</ins>}</div>
    ))}
  </div>
);
