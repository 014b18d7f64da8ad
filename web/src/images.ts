// Images that are given with what is said: read, made small enough, and shown before they are sent.

export interface Given {
  readonly id: number;
  readonly name: string;
  /** As it is sent. */
  readonly base64: string;
  readonly bytes: number;
  /** For an `img`: the same bytes. */
  readonly url: string;
}

export const IMAGES_MAX = 8;
/** Of one image and of all together, as the engine has it. */
const BYTES_MAX = 15 << 18;
export const ALL_BYTES_MAX = 8 << 20;
const SIDE_MAX = 8_000;
const PIXELS_MAX = 40_000_000;
/** What is too large is made so large; models read no more of it. */
const FITTED_SIDE = 2_000;
const QUALITY = 0.9;

type Kind = "png" | "jpeg" | "gif" | "webp";

/** What bytes are, whatever the file is called; `null` for what models don't read. */
export function kindOf(bytes: Uint8Array): Kind | null {
  const text = String.fromCharCode(...bytes.subarray(0, 12));
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^GIF8[79]a/.test(text)) return "gif";
  return /^RIFF[^]{4}WEBP/.test(text) ? "webp" : null;
}

let lastId = 0;

/** An image as it is sent. What models don't read, or what is too large for them, is drawn anew. */
export async function read(file: File): Promise<Given> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const picture = await createImageBitmap(new Blob([bytes])).catch(() => null);
  if (!picture) throw new Error(`${file.name || "What was given"} is no image that can be read here.`);
  const { width, height } = picture;
  const isLarge = bytes.length > BYTES_MAX || Math.max(width, height) > SIDE_MAX || width * height > PIXELS_MAX;
  const kind = kindOf(bytes);
  const given = kind && !isLarge ? { kind, bytes } : await drawn(picture);
  picture.close();
  const base64 = inBase64(given.bytes);
  const url = `data:image/${given.kind};base64,${base64}`;
  return { id: ++lastId, name: file.name || "image", base64, bytes: given.bytes.length, url };
}

async function drawn(picture: ImageBitmap): Promise<{ kind: Kind; bytes: Uint8Array }> {
  const scale = Math.min(1, FITTED_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/webp", QUALITY));
  const bytes = new Uint8Array((await blob?.arrayBuffer()) ?? []);
  const kind = kindOf(bytes);
  if (!kind || bytes.length > BYTES_MAX) throw new Error("The image can't be made small enough.");
  return { kind, bytes };
}

function inBase64(bytes: Uint8Array): string {
  const CHUNK = 0x8000;
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

/** What one more makes too much, in words. */
export function tooMuch(given: readonly Given[]): string | null {
  if (given.length > IMAGES_MAX) return `At most ${IMAGES_MAX} images go with what you say at once.`;
  const bytes = given.reduce((sum, image) => sum + image.bytes, 0);
  return bytes > ALL_BYTES_MAX ? `The images have more than ${ALL_BYTES_MAX >> 20} MiB together.` : null;
}
