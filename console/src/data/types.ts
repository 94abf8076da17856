// The API's nouns by short names; the shapes are those of the OpenAPI document.
import type { components } from "./api";

type Schemas = components["schemas"];
export type Action = Schemas["Action"];
export type AutonomyRow = Schemas["AutonomyRow"];
export type Backtest = Schemas["Backtest"];
export type BacktestOrder = Schemas["BacktestOrder"];
export type Budgets = Schemas["Budgets"];
export type Comparison = Schemas["Comparison"];
export type ComparisonRow = Schemas["ComparisonRow"];
export type Effect = Schemas["Effect"];
export type Endpoint = Schemas["EndpointView"];
export type Evidence = Schemas["Evidence"];
export type Explanation = Schemas["Explanation"];
export type Expected = Schemas["Expected"];
export type Forecast = Schemas["Forecast"];
export type Incident = Schemas["Incident"];
/** The guard's answer, as audit records hold it. */
export type Judgement = { verdict: "allow" | "ask" | "deny"; why: string; checks: { name: string; verdict: "allow" | "ask" | "deny"; why: string }[] };
export type Mode = Schemas["Mode"];
export type PolicyText = Schemas["PolicyText"];
export type Proof = Schemas["Proof"];
export type Proposal = Schemas["Proposal"];
export type Proxy = Schemas["ProxyView"];
export type RecordingFile = Schemas["RecordingFile"];
export type Said = Schemas["Said"];
export type Tally = Schemas["Tally"];
export type AuditRecord = Schemas["AuditRecord"];
export type Series = Schemas["Series"];
export type Service = Schemas["ServiceView"];
export type Status = Schemas["Status"];
/** The change itself: `type` and what belongs to it. */
export type Kind = { type: string } & Record<string, unknown>;
export type Items<T> = { items: T[]; next?: string };
/** What is pushed once a second. */
export type Picture = { at_ms: number; status: Status; services: Service[] };
