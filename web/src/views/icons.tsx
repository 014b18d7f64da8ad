// The few pictures of the page, drawn inline: no font and no request.

const PATHS = {
  menu: "M3 6h14M3 10h14M3 14h14",
  plus: "M10 4v12M4 10h12",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4",
  close: "M5 5l10 10M15 5 5 15",
  pen: "M4 16l.8-3.4L13 4.4l2.6 2.6-8.2 8.2L4 16ZM11.5 6l2.6 2.6",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6",
  chart: "M3 17h14M5 14V9M9 14V5M13 14v-3M17 14V7",
  pulse: "M2 10h4l2-5 4 10 2-5h4",
  moon: "M16 12.5A6.5 6.5 0 0 1 7.5 4a6.5 6.5 0 1 0 8.500 8.500Z",
  sun: "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7ZM10 2v2M10 16v2M2 10h2M16 10h2M4.500 4.500l1.300 1.300M14.200 14.200l1.300 1.300M4.500 15.500l1.300-1.300M14.200 5.800l1.300-1.300",
  half: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM10 3v14M13 5v10M15.500 7v6",
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6Z",
  chevron: "M7 4l6 6-6 6",
  check: "M4 10.500l4 4 8-9",
  cross: "M5.500 5.500l9 9M14.500 5.500l-9 9",
  alert: "M10 3 2.500 16.500h15ZM10 8v4M10 14.200v.3",
  question: "M7.500 7.500a2.500 2.500 0 1 1 3.600 2.200c-.8.4-1.100.9-1.100 1.800M10 14.200v.3",
  undo: "M7 4 3.500 7.500 7 11M4 7.500h8a4.500 4.500 0 0 1 0 9H8",
  copy: "M7 7h9v9H7ZM4 13V4h9",
  down: "M10 4v12M5 11l5 5 5-5",
  command: "M4 6l4 4-4 4M10 15h6",
  canvas: "M3 4h14v9H3ZM7 17l3-4 3 4",
  save: "M10 3v9M6 8.500l4 4 4-4M4 16h12",
  image: "M3 4h14v12H3ZM3 13l4-4 4 4 2-2 4 4M13 8.5a1 1 0 1 0 0-2 1 1 0 0 0 0 2Z",
  branch: "M6 4v12M6 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM6 18a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM14 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM14 8c0 4-8 2-8 6",
  book: "M4 4h5a2 2 0 0 1 2 2v11a2 2 0 0 0-2-2H4ZM17 4h-4a2 2 0 0 0-2 2v11a2 2 0 0 1 2-2h4Z",
  sliders: "M3 6h8M15 6h2M13 4v4M3 14h3M10 14h7M8 12v4",
  list: "M3 5h2M8 5h9M3 10h2M8 10h9M3 15h2M8 15h6",
  folder: "M3 6h5l1.500 2H17v8H3Z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
