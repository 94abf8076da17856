// The browser's own dialog: focus stays inside, Escape closes, what lies behind is inert.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./states";

type Props = { title: string; close: () => void; children?: ComponentChildren };

export function Dialog({ title, close, children }: Props) {
  const of = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = of.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={of} aria-label={title} onCancel={close} onClick={(event) => event.target === of.current && close()}>
      {children}
    </dialog>
  );
}

type Ask = { title: string; text: ComponentChildren; verb: string; tone?: string; reason?: "must" | "may"; close: () => void; act: (reason: string) => Promise<unknown> };

/** Says what will happen, asks why where that is wanted, does it, and tells what came of it. */
export function Confirm({ title, text, verb, tone = "primary", reason, close, act }: Ask) {
  const [why, setWhy] = useState("");
  const [failed, setFailed] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      await act(why);
      close();
    } catch (refused) {
      setFailed(refused);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={submit}>
        <h2>{title}</h2>
        <div class="muted">{text}</div>
        {reason && (
          <label class="field">
            Reason{reason === "may" && " (may be left out)"}
            <input type="text" value={why} maxLength={1000} required={reason === "must"} onInput={(e) => setWhy(e.currentTarget.value)} autofocus />
          </label>
        )}
        {failed !== null && <Problem why={failed} />}
        <div class="ends">
          <button type="button" class="btn" onClick={close}>Cancel</button>
          <button type="submit" class={`btn ${tone}`} disabled={busy}>{verb}</button>
        </div>
      </form>
    </Dialog>
  );
}
