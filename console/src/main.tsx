import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/parts.css";
import "./style/pages.css";
import { render } from "preact";
import { App } from "./app";
import { connect, watchSilence } from "./data/live";
import { recall } from "./data/session";
import "./data/theme";

const root = document.getElementById("app");
if (root) render(<App />, root);
void recall().then(connect);
watchSilence();
