// What is shown when there is nothing, not yet anything, or something went wrong.
import type { ComponentChildren } from "preact";
import { words } from "../data/client";
import { Icon, type IconName } from "./icons";

export const Empty = ({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <Icon name={icon} />
    <strong>{title}</strong>
    {children && <p>{children}</p>}
  </div>
);

export const Loading = ({ lines = 4 }: { lines?: number }) => (
  <div class="loading" role="status" aria-label="Loading">
    {Array.from({ length: lines }, (_, n) => <i key={n} style={{ width: `${92 - ((n * 17) % 40)}%` }} />)}
  </div>
);

export const Problem = ({ why }: { why: unknown }) => <div class="problem" role="alert">{words(why)}</div>;
