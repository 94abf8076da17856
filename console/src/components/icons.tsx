// Line icons, drawn here: sixteen units square, one stroke.
import type { JSX } from "preact";

const PATHS = {
  mesh: "M8 3.2v3M5.2 11.2 7 8.8M10.8 11.2 9 8.8M8 1.5a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2ZM8 6.2a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2ZM4.2 10.8a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2ZM11.8 10.8a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2Z",
  incident: "M8 2 14.2 13H1.8L8 2ZM8 6.4v3.2M8 11.3v.1",
  approve: "M3 2.5h10v11H3zM5.5 8.2l1.8 1.8 3.4-3.8",
  action: "M8.8 1.8 3.2 9h4l-.8 5.2L12.8 7h-4l.8-5.2Z",
  canary: "M2 12c2.5 0 3-8 6-8s3.500 5 6 5M11.500 6.800 14 9l-2.500 2.200",
  audit: "M4 1.800h6l2.500 2.500v9.900H4zM6.200 6.500h4M6.200 9h4M6.200 11.500h2.500",
  autonomy: "M8 14A6 6 0 1 1 8 2a6 6 0 0 1 0 12ZM8 8l2.800-3M4.300 9.500h.1M11.700 9.500h.1M8 4h.1",
  check: "M3 8.5 6.500 12 13 4.500",
  cross: "M4 4l8 8M12 4l-8 8",
  warn: "M8 3.500v5.500M8 12v.1",
  out: "M8 14A6 6 0 1 1 8 2a6 6 0 0 1 0 12ZM4 12l8-8",
  quiet: "M4 8h8",
  mute: "M2 8s2.500-4 6-4 6 4 6 4-2.500 4-6 4-6-4-6-4ZM3 13 13 3",
  lost: "M6 2v3M10 2v3M4.500 5h7v2.500a3.500 3.500 0 0 1-7 0ZM8 11v3M3 14 13 9",
  undo: "M3 6.500h6.500a3.500 3.500 0 0 1 0 7H6M3 6.500 6 3.500M3 6.500l3 3",
  stop: "M5.300 2h5.400L14 5.300v5.400L10.700 14H5.300L2 10.700V5.300Z",
  play: "M4.500 3v10l8-5-8-5Z",
  pause: "M5.500 3.500v9M10.500 3.500v9",
  moon: "M13 9.500A5.500 5.500 0 1 1 6.500 3 4.500 4.500 0 0 0 13 9.500Z",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM8 1.500v1M8 13.500v1M1.500 8h1M13.500 8h1M3.400 3.400l.7.7M11.900 11.900l.7.7M3.400 12.600l.7-.7M11.900 4.100l.7-.7",
  person: "M8 2.500a2.700 2.700 0 1 1 0 5.400 2.700 2.700 0 0 1 0-5.400ZM2.800 14c.5-3 2.600-4.500 5.200-4.500s4.700 1.500 5.200 4.500",
  link: "M6.500 9.500l3-3M7 4.500l1.200-1.200a3 3 0 0 1 4.300 4.300L11.300 8.800M9 11.500l-1.200 1.200a3 3 0 0 1-4.300-4.300L4.700 7.200",
  down: "M8 2.500v8M4.500 7.500 8 11l3.500-3.500M3 13.500h10",
  shield: "M8 1.800 13 3.500v4.300c0 3.200-2.100 5.300-5 6.400-2.900-1.100-5-3.200-5-6.400V3.500Z",
  fit: "M2.500 6V2.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10",
} as const;
export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { name: IconName }): JSX.Element => (
  <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);

export const Mark = (): JSX.Element => (
  <svg viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="#1b2230" />
    <path d="M20.5 21.8A8.500 8.500 0 1 1 17 7.200a7 7 0 1 0 3.500 14.600Z" fill="#8fb0ff" />
    <circle cx="22.500" cy="11" r="2" fill="#4cc38a" />
  </svg>
);
