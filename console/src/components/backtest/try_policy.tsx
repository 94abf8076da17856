// An edited policy, tried on a recording beside the one in force. It changes nothing: who likes it writes it to the file.
import { useEffect, useState } from "preact/hooks";
import { get, post } from "../../data/client";
import { human, percent } from "../../data/format";
import { maySteer } from "../../data/session";
import type { Backtest, BacktestOrder, Items, Mode, PolicyText, RecordingFile } from "../../data/types";
import { useLoad } from "../load";
import { Tag } from "../small";
import { Loading, Problem } from "../states";
import { Editor } from "./editor";
import { Outcome } from "./outcome";

const AGAIN_MS = 600;
const MODES: Mode[] = ["autonomous", "advisory", "observe"];
const size = (bytes: number): string => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** The newest trial, read again while it runs. */
function useTrial(): [Backtest | null, (trial: Backtest) => void] {
  const [trial, setTrial] = useState<Backtest | null>(null);
  useEffect(() => {
    get<Items<Backtest>>("/v1/backtests").then(({ items: [newest] }) => newest && get<Backtest>(`/v1/backtests/${newest.id}`).then(setTrial)).catch(() => undefined);
  }, []);
  useEffect(() => {
    if (trial?.state !== "running") return;
    // An answer that does not come is asked for again: the trial itself goes on.
    const timer = setTimeout(() => get<Backtest>(`/v1/backtests/${trial.id}`).then(setTrial, () => setTrial({ ...trial })), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [trial]);
  return [trial, setTrial];
}

export function TryPolicy() {
  const policies = useLoad(() => get<Items<PolicyText>>("/v1/policies"), []);
  const [trial, setTrial] = useTrial();
  const recordings = useLoad(() => get<Items<RecordingFile>>("/v1/recordings"), [trial?.id]);
  const [edits, setEdits] = useState<Record<string, string>>({});
  const why = policies.why ?? recordings.why;
  return (
    <section class="panel" aria-labelledby="try-head">
      <header><h2 id="try-head">Try a policy</h2><span class="end">on a recording, beside the one in force; changes nothing</span></header>
      {why ? <Problem why={why} /> : !policies.value || !recordings.value ? <Loading /> : (
        <div class="try">
          <Editor of={policies.value.items} edits={edits} setEdits={setEdits} />
          <Order of={recordings.value.items} edits={edits} trial={trial} begun={setTrial} />
        </div>
      )}
      {trial?.result && <Outcome of={trial.result} />}
    </section>
  );
}

type Asked = { of: RecordingFile[]; edits: Record<string, string>; trial: Backtest | null; begun: (trial: Backtest) => void };

function Order({ of, edits, trial, begun }: Asked) {
  const [recording, setRecording] = useState(of[0]?.name ?? "");
  const [mode, setMode] = useState<Mode>("autonomous");
  const [budgets, setBudgets] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  if (!of.length) return <div class="pad muted">There is no recording yet: start the brain with <code>--record DATA_DIR/recordings/mesh.jsonl.zst</code>, or put one into that folder.</div>;
  const running = trial?.state === "running";
  const chosen = of.some((file) => file.name === recording) ? recording : of[0]?.name ?? "";
  const order: BacktestOrder = { recording: chosen, policies: edits, mode, budgets };
  const send = (path: string, body: unknown): void => void post<Backtest>(path, body).then((told) => { setRefused(null); begun(told); }).catch(setRefused);
  return (
    <div class="stack tight pad">
      <label class="field">Recording
        <select value={chosen} onChange={(event) => setRecording(event.currentTarget.value)}>{of.map((file) => <option key={file.name} value={file.name}>{file.name} · {size(file.bytes)}</option>)}</select>
      </label>
      <label class="field">How far the brain might have gone
        <select value={mode} onChange={(event) => setMode(event.currentTarget.value as Mode)}>{MODES.map((one) => <option key={one} value={one}>{human(one)}</option>)}</select>
      </label>
      <label class="check"><input type="checkbox" checked={budgets} onChange={(event) => setBudgets(event.currentTarget.checked)} />Count budgets, rests and reversals, though nothing heals in a recording</label>
      {maySteer.value ? (
        <div class="row">
          <button class="btn primary" disabled={running} onClick={() => send("/v1/backtests", order)}>{Object.keys(edits).length ? "Try it" : "Replay as it is"}</button>
          {running && <button class="btn" onClick={() => trial && send(`/v1/backtests/${trial.id}/cancel`, {})}>Cancel</button>}
        </div>
      ) : <p class="muted">Operators try policies; what came of it is for everybody to see.</p>}
      {refused !== null && <pre class="problem mono" role="alert">{refused instanceof Error ? refused.message : String(refused)}</pre>}
      {trial && <Progress of={trial} />}
    </div>
  );
}

const STATES: Record<Backtest["state"], string> = { running: "applying", done: "closed", cancelled: "expired", failed: "failed" };

const Progress = ({ of }: { of: Backtest }) => (
  <div class="stack tight" role="status">
    <div class="row"><Tag of={STATES[of.state]} text={human(of.state)} /><span class="muted wrap-anywhere">{of.id} over {of.recording}, {of.mode}, asked by {of.by}</span></div>
    {of.state === "running" && <><span class="meter" aria-hidden="true"><span style={{ width: `${100 * of.done}%` }} /></span><span class="muted num">{percent(of.done, 0)} read</span></>}
    {of.why && <Problem why={of.why} />}
  </div>
);
