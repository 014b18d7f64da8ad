// One surface, by its kind. What is half written is shown as far as it came.

import { useMemo } from "preact/hooks";
import type { Shown } from "../canvas";
import { sheet } from "../csv";
import { bytes } from "../format";
import type { SessionId } from "../protocol";
import { clean, cleanLine } from "../visible";
import { Chart } from "./plot";
import { Diagram } from "./diagram";
import { FormView } from "./form";
import { FrameView } from "./frame";
import { CodeBlock, Markdown } from "./markdown";
import { Table } from "./table";

interface SurfaceProps {
  session: SessionId;
  shown: Shown;
}

export function SurfaceView({ session, shown }: SurfaceProps) {
  const { surface, isGrowing } = shown;
  const { kind, content } = surface;
  switch (kind) {
    case "markdown":
      return <Markdown text={content} isOpen={isGrowing} />;
    case "code":
      return <CodeBlock language={surface.language} text={clean(content)} />;
    case "table":
      return <Sheet content={content} />;
    case "diagram":
      return <Diagram content={content} />;
    case "html":
      return <FrameView session={session} shown={shown} />;
  }
  if (isGrowing) return <p class="empty">{bytes(content.length)} are written so far.</p>;
  switch (kind) {
    case "chart":
      return <Chart content={content} title={cleanLine(surface.title) || surface.name} />;
    case "form":
      return <FormView session={session} shown={shown} />;
    case "svg":
      return <FrameView session={session} shown={shown} />;
    case "image":
      return <Picture content={content} title={cleanLine(surface.title) || surface.name} />;
  }
}

function Sheet({ content }: { content: string }) {
  return <Table sheet={useMemo(() => sheet(clean(content)), [content])} label="Table" />;
}

/** Part of the page itself: no address is ever loaded. */
function Picture({ content, title }: { content: string; title: string }) {
  if (!/^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*$/.test(content)) {
    return <p class="note error">This is no image that can be shown here.</p>;
  }
  return <img src={content} alt={title} />;
}
