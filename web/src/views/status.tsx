// How the engine is, and the sessions in which a turn runs.

import { ago, bytes, moment } from "../format";
import { useApp, useNow } from "../hooks";
import type { EngineStatus, SessionSummary } from "../protocol";
import { hrefOf, stop } from "../store";
import { clean, cleanLine } from "../visible";
import { Icon } from "./icons";
import { PageHeader } from "./page";

export function Status() {
  const app = useApp();
  const jobs = (app.sessions ?? []).filter((session) => session.is_running);
  return (
    <>
      <PageHeader title="Status and jobs" />
      <div class="scroll page">
        <h2>Running now</h2>
        {jobs.length === 0 && <p class="empty">No turn runs.</p>}
        <ul class="jobs">
          {jobs.map((job) => (
            <Job key={job.session} job={job} />
          ))}
        </ul>
        <h2>Engine</h2>
        {app.status ? <Facts status={app.status} /> : <p class="empty">Asking…</p>}
      </div>
    </>
  );
}

function Job({ job }: { job: SessionSummary }) {
  const title = cleanLine(job.title) || "Untitled";
  return (
    <li>
      <span class="spinner" />
      <a href={hrefOf({ page: "chat", session: job.session })}>
        <span>{title}</span>
        <span class="fine">{cleanLine(job.workspace)}</span>
      </a>
      <button type="button" aria-label={`Stop ${title}`} onClick={() => void stop(job.session)}>
        <Icon name="stop" />
        Stop
      </button>
    </li>
  );
}

function Facts({ status }: { status: EngineStatus }) {
  const now = useNow(true, 10_000);
  const facts: [string, string][] = [
    ["Version", status.version],
    ["Model", clean(status.model)],
    ["Running since", `${moment(status.started_at)} (${ago(status.started_at, now)})`],
    ["Process", String(status.pid)],
    ["Memory", bytes(status.resident_bytes)],
    ["Home", status.home],
    ["Network", status.is_offline ? "offline: nothing beyond this machine is reached" : "as its rules allow"],
  ];
  return (
    <>
      {status.recovered && (
        <p class="note warning">
          <Icon name="alert" />
          {clean(status.recovered)}
        </p>
      )}
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
