// A table of comma-separated values, sorted by a click on the head of a column.

import { useMemo, useState } from "preact/hooks";
import { isNumeric, sorted, type Sheet, type Sorting } from "../csv";
import { count } from "../format";
import { cleanLine } from "../visible";

/** Rows that are shown at once. */
const ROWS_MAX = 300;

export function Table({ sheet, label }: { sheet: Sheet; label: string }) {
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const [shownMax, setShownMax] = useState(ROWS_MAX);
  const rows = useMemo(() => (sorting ? sorted(sheet, sorting) : sheet.rows), [sheet, sorting]);
  const numeric = useMemo(() => sheet.head.map((_, column) => isNumeric(sheet, column)), [sheet]);
  const more = rows.length - shownMax;
  return (
    <>
      <div class="sheet" tabIndex={0} role="group" aria-label={label}>
        <table>
          <thead>
            <tr>
              {sheet.head.map((name, column) => (
                <th key={column} scope="col" aria-sort={sortOf(sorting, column)} class={numeric[column] ? "number" : ""}>
                  <button type="button" onClick={() => setSorting(next(sorting, column))}>
                    {cleanLine(name) || "–"}
                    <span aria-hidden="true">{signOf(sorting, column)}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, shownMax).map((row, idx) => (
              <tr key={idx}>
                {sheet.head.map((_, column) => (
                  <td key={column} class={numeric[column] ? "number" : ""}>
                    {row[column] ?? ""}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more > 0 && (
        <button type="button" class="quiet small" onClick={() => setShownMax(shownMax + ROWS_MAX)}>
          Show {count(Math.min(more, ROWS_MAX))} more of {count(more)} rows
        </button>
      )}
    </>
  );
}

/** Up, down, then as it was written. */
function next(sorting: Sorting | null, column: number): Sorting | null {
  if (sorting?.column !== column) return { column, isDown: false };
  return sorting.isDown ? null : { column, isDown: true };
}

function sortOf(sorting: Sorting | null, column: number): "ascending" | "descending" | "none" {
  if (sorting?.column !== column) return "none";
  return sorting.isDown ? "descending" : "ascending";
}

function signOf(sorting: Sorting | null, column: number): string {
  return { ascending: " ↑", descending: " ↓", none: "" }[sortOf(sorting, column)];
}
