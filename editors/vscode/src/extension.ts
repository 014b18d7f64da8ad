// Tells the gateway which files are open, and shows what it knows about one. Everything that decides is in the other files.

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { ask, base, pack, packAddress, token } from "./gateway.js";
import { Open } from "./open.js";
import { shown } from "./shown.js";

const SCHEME = "titanclaw-pack";
/** So that going through many files tells of the last one alone. */
const QUIET_MS = 400;
/** After this long a gateway that was not there is asked again. */
const AGAIN_MS = 30_000;

export function activate(context: vscode.ExtensionContext): void {
  const open = new Open("vscode");
  let timer: NodeJS.Timeout | undefined;
  let telling = Promise.resolve();

  const later = (wait: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      telling = telling.then(tell);
    }, wait);
  };
  const tell = async (): Promise<void> => {
    try {
      const { origin, secret } = await reach();
      for (const report of open.next(paths(), front())) {
        await ask(`${origin}/api/presence`, secret, report);
        open.heard(report);
      }
    } catch {
      // No gateway is a usual thing; it hears all when it is there.
      open.forget();
      later(AGAIN_MS);
    }
  };
  const soon = (): void => later(QUIET_MS);

  const packs: vscode.TextDocumentContentProvider = {
    provideTextDocumentContent: async (uri) => {
      try {
        const { origin, secret } = await reach();
        return shown(pack(await ask(packAddress(origin, uri.query), secret)));
      } catch (error) {
        return `${error instanceof Error ? error.message : String(error)}\n`;
      }
    },
  };
  const showPack = async (): Promise<void> => {
    const path = front();
    if (path === undefined) {
      await vscode.window.showInformationMessage("Open a file first.");
      return;
    }
    const uri = vscode.Uri.from({ scheme: SCHEME, path: "/What is known", query: path });
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preview: true });
  };

  context.subscriptions.push(
    vscode.window.onDidChangeActiveTextEditor(soon),
    vscode.window.tabGroups.onDidChangeTabs(soon),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, packs),
    vscode.commands.registerCommand("titanclaw.showPack", showPack),
    { dispose: () => clearTimeout(timer) },
  );
  soon();
}

/** The gateway and the secret that opens it. */
async function reach(): Promise<{ origin: string; secret: string }> {
  const settings = vscode.workspace.getConfiguration("titanclaw");
  const origin = base(settings.get("address", "http://127.0.0.1:7717"));
  const named = settings.get("home", "") || process.env["TITANCLAW_HOME"];
  const file = join(named || join(homedir(), ".titanclaw"), "gateway.token");
  const secret = token(await readFile(file, "utf8"));
  if (secret === undefined) {
    throw new Error(`${file} holds no token; titanclaw web --new-token makes one`);
  }
  return { origin, secret };
}

/** The files of all tabs. */
function paths(): string[] {
  const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
  const inputs = tabs.map((tab) => tab.input);
  return inputs
    .filter((input) => input instanceof vscode.TabInputText)
    .map((input) => input.uri)
    .filter((uri) => uri.scheme === "file")
    .map((uri) => uri.fsPath);
}

function front(): string | undefined {
  const uri = vscode.window.activeTextEditor?.document.uri;
  return uri?.scheme === "file" ? uri.fsPath : undefined;
}
