import { Icon } from "./icons";

interface SearchFieldProps {
  label: string;
  value: string;
  onSearch: (words: string) => void;
}

/** The field of a page that looks for words. */
export function SearchField({ label, value, onSearch }: SearchFieldProps) {
  return (
    <div class="search">
      <Icon name="search" />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        maxLength={1_000}
        value={value}
        onInput={(event) => onSearch(event.currentTarget.value)}
      />
    </div>
  );
}
