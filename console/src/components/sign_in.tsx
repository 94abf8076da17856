// Signing in: without it the page shows everything and offers nothing.
import { useState } from "preact/hooks";
import { connect } from "../data/live";
import { asksToSignIn, signIn, signOut, who } from "../data/session";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { Problem } from "./states";

export function SignIn() {
  const [token, setToken] = useState("");
  const [failed, setFailed] = useState<unknown>(null);
  const close = (): void => void (asksToSignIn.value = false);
  const submit = (event: Event): void => {
    event.preventDefault();
    signIn(token.trim()).then(close).then(connect).catch(setFailed);
  };
  return (
    <Dialog title="Sign in" close={close}>
      <form onSubmit={submit} autocomplete="off">
        <h2>Sign in</h2>
        <p class="muted">With a token of this brain: <code>api.token</code> in its data directory, or the one of your name in <code>brain.yaml</code>.</p>
        <label class="field">
          Token
          <input type="password" name="token" value={token} required onInput={(event) => setToken(event.currentTarget.value)} autofocus />
        </label>
        {failed !== null && <Problem why={failed} />}
        <div class="ends">
          <button type="button" class="btn" onClick={close}>Cancel</button>
          <button type="submit" class="btn primary">Sign in</button>
        </div>
      </form>
    </Dialog>
  );
}

export const Whoami = () =>
  who.value ? (
    <span class="side-row">
      <span class="row" style={{ minWidth: 0 }} title={`${who.value.name}, ${who.value.role}`}><span class="health"><Icon name="person" /></span>{who.value.name}</span>
      <button class="btn plain small" onClick={() => void signOut()}>Sign out</button>
    </span>
  ) : (
    <span class="side-row">
      <span>View only</span>
      <button class="btn small" onClick={() => (asksToSignIn.value = true)}>Sign in</button>
    </span>
  );
