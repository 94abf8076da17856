// Which page stands in the frame.
import { Shell } from "./components/shell";
import { Empty } from "./components/states";
import { route } from "./data/route";
import { Actions } from "./pages/actions";
import { Approvals } from "./pages/approvals";
import { Audit } from "./pages/audit";
import { Autonomy } from "./pages/autonomy";
import { Canaries } from "./pages/canaries";
import { Incidents } from "./pages/incidents";
import { IncidentStory } from "./pages/incident";
import { Mesh } from "./pages/mesh";
import { ServicePage } from "./pages/service";

function Page() {
  const [page = "", id] = route.value;
  switch (page) {
    case "": case "mesh": return <Mesh />;
    case "services": return id ? <ServicePage name={id} key={id} /> : <Mesh />;
    case "incidents": return id ? <IncidentStory id={id} key={id} /> : <Incidents />;
    case "approvals": return <Approvals />;
    case "actions": return <Actions />;
    case "canaries": return <Canaries id={id} />;
    case "audit": return <Audit seq={id} />;
    case "autonomy": return <Autonomy />;
    default: return <Empty icon="quiet" title="There is no such page"><a href="#/">To the mesh</a></Empty>;
  }
}

export const App = () => <Shell><Page /></Shell>;
