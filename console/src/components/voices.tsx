// Who spoke for an action. A language model's words are marked as such, and are never more than words.
import { percent } from "../data/format";
import type { Proposal } from "../data/types";

export const Voices = ({ of }: { of: Proposal["speakers"] }) => (
  <ul class="stack tight">
    {of.map((one, n) => {
      const advisor = one.name.startsWith("advisor");
      return (
        <li key={n} class={`voice ${advisor ? "advisor" : ""}`}>
          <div class="row"><b class="mono">{one.name}</b>{advisor && <span class="tag">language model: words, not evidence</span>}{one.confidence > 0 && <span class="muted num">{percent(one.confidence, 0)} sure</span>}</div>
          <p class="muted wrap-anywhere">{one.says}</p>
        </li>
      );
    })}
  </ul>
);
