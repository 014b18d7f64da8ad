import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/turn.css";
import "./styles/pages.css";
import "./styles/canvas.css";
import { start } from "./store";
import { AppView } from "./views/app";

start();
render(<AppView />, document.getElementById("app")!);
