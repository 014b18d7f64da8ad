// Session and turn ids: UUIDv7 (RFC 9562), minted here so that what is sent twice counts once.

let lastMs = 0;
let counter = 0;

/** A time-ordered id; ids of one page keep their order within a millisecond too. */
export function mintId(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const at = tick(now, bytes);
  for (let idx = 0; idx < 6; idx++) bytes[idx] = Math.floor(at / 2 ** (40 - 8 * idx)) % 256;
  bytes[6] = 0x70 | (counter >> 8);
  bytes[7] = counter & 0xff;
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return spelt(bytes);
}

/** The moment of the next id. The twelve bits after it count up within a moment and start low, at random. */
function tick(now: number, random: Uint8Array): number {
  if (now > lastMs) {
    lastMs = now;
    counter = ((random[6]! << 8) | random[7]!) & 0x7ff;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  return lastMs;
}

function spelt(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
