// Reading something for a page: again when told to, and never an old answer over a newer one.
import { useEffect, useRef, useState } from "preact/hooks";

export type Loaded<T> = { value: T | null; why: unknown; busy: boolean };

export function useLoad<T>(read: () => Promise<T>, depends: unknown[]): Loaded<T> {
  const [state, set] = useState<Loaded<T>>({ value: null, why: null, busy: true });
  const turn = useRef(0);
  useEffect(() => {
    const mine = ++turn.current;
    set((before) => ({ ...before, busy: true }));
    read().then(
      (value) => mine === turn.current && set({ value, why: null, busy: false }),
      (why) => mine === turn.current && set((before) => ({ ...before, why, busy: false })),
    );
  }, depends);
  return state;
}
