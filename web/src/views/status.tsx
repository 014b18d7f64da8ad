// How the engine is, and what runs: turns of all sessions, with their calls and programs.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { ago, bytes, moment, ticking } from "../format";
import { useApp, useNow } from "../hooks";
import type { EngineStatus, Job, JobCall } from "../protocol";
import { hrefOf, stop, wordsOf } from "../store";
import { clean, cleanLine } from "../visible";
import { Icon } from "./icons";
import { PageHeader } from "./page";

const JOBS_MS = 1_500;

/** What runs now; asked for again and again while the page is looked at. */
function useJobs(): { jobs: Job[] | null; error: string | null } {
  const [jobs, setJobs] = useState<Job[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let timer = 0;
    let isWanted = true;
    const look = async () => {
      if (document.visibilityState === "visible") {
        await api.jobs().then(
          (jobs) => isWanted && (setJobs(jobs), setError(null)),
          (error: unknown) => isWanted && setError(wordsOf(error)),
        );
      }
      if (isWanted) timer = window.setTimeout(() => void look(), JOBS_MS);
    };
    void look();
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, []);
  return { jobs, error };
}

export function Status() {
  const app = useApp();
  const { jobs, error } = useJobs();
  const now = useNow((jobs?.length ?? 0) > 0);
  return (
    <>
      <PageHeader title="Status and jobs" />
      <div class="scroll page">
        <h2>Running now</h2>
        {error && (
          <p class="note error" role="alert">
            {error}
          </p>
        )}
        {jobs === null && !error && <p class="empty">Asking…</p>}
        {jobs?.length === 0 && <p class="empty">No turn runs.</p>}
        <ul class="jobs" aria-label="Turns that run">
          {jobs?.map((job) => (
            <JobView key={job.turn} job={job} now={now} />
          ))}
        </ul>
        <h2>Engine</h2>
        {app.status ? <Facts status={app.status} /> : <p class="empty">Asking…</p>}
      </div>
    </>
  );
}

const STAGES = { written: "is being written", running: "runs", asked: "waits for your yes or no" };

function JobView({ job, now }: { job: Job; now: number }) {
  const title = cleanLine(job.title) || "Untitled";
  return (
    <li>
      <span class="spinner" />
      <div class="job">
        <a href={hrefOf({ page: "chat", session: job.session })}>{title}</a>
        <p class="fine">
          {ticking(now - job.started_at)} · {cleanLine(job.workspace)}
        </p>
        <p class="fine">You said: {cleanLine(job.text)}</p>
        {job.calls.length === 0 ? (
          <p class="fine">Waits for the model</p>
        ) : (
          <ul aria-label={`Calls of ${title}`}>
            {job.calls.map((call) => (
              <CallLine key={call.call} call={call} now={now} />
            ))}
          </ul>
        )}
      </div>
      <button type="button" aria-label={`Stop ${title}`} onClick={() => void stop(job.session)}>
        <Icon name="stop" />
        Stop
      </button>
    </li>
  );
}

function CallLine({ call, now }: { call: JobCall; now: number }) {
  return (
    <li class={`stage-${call.stage}`}>
      <span>{cleanLine(call.tool)}</span> {call.about && <code>{cleanLine(call.about)}</code>}{" "}
      <span class="fine">
        {STAGES[call.stage]}, {ticking(now - call.started_at)}
      </span>
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
