// Images that were given with what was said: small in the conversation, large in a dialog of their own.

import { useState } from "preact/hooks";
import { imageUrl } from "../api";
import { bytes } from "../format";
import type { Image, SessionId } from "../protocol";
import { show, type Dialog } from "../store";
import { imageText } from "../words";
import { Frame } from "./dialogs";
import { Icon } from "./icons";

/** The most room that one has, in pixels; a small one stays as small as it is. */
const WIDTH_MAX = 240;
const HEIGHT_MAX = 160;

interface GivenProps {
  session: SessionId;
  at: number;
  images: readonly Image[];
}

export function GivenImages({ session, at, images }: GivenProps) {
  return (
    <ul class="given" aria-label="Images that were given">
      {images.map((image, number) => (
        <li key={number}>
          <Thumbnail session={session} at={at} number={number} image={image} />
        </li>
      ))}
    </ul>
  );
}

type One = Omit<Extract<Dialog, { type: "image" }>, "type">;

function Thumbnail(one: One) {
  const { image, number } = one;
  const [isGone, setGone] = useState(false);
  const words = `Image ${number + 1}: ${imageText(image)}`;
  if (isGone) {
    return (
      <p class="note fine">
        <Icon name="image" />
        {words}; it is not there any more
      </p>
    );
  }
  // Its place is kept until it comes.
  const scale = Math.min(1, WIDTH_MAX / image.width, HEIGHT_MAX / image.height);
  const side = (pixels: number) => Math.max(1, Math.round(pixels * scale));
  return (
    <button type="button" class="quiet" title={imageText(image)} onClick={() => show({ type: "image", ...one })}>
      <img
        src={imageUrl(one.session, one.at, number)}
        alt={words}
        width={side(image.width)}
        height={side(image.height)}
        loading="lazy"
        decoding="async"
        onError={() => setGone(true)}
      />
    </button>
  );
}

export function ImageDialog({ session, at, number, image }: One) {
  const words = imageText(image);
  return (
    <Frame title={`Image ${number + 1}`} className="wide picture">
      <div class="whole" tabIndex={0} role="group" aria-label="The image at its size">
        <img src={imageUrl(session, at, number)} alt={words} width={image.width} height={image.height} />
      </div>
      <p class="fine">
        {words}, {bytes(image.bytes)}
      </p>
    </Frame>
  );
}
