"""Put the verdicts of all shards into one table, shard after shard in the order given."""

from pathlib import Path

from talkset import glue, tables
from talkset.faults import ToolFault


def main(parts: list[Path], filtered: Path, *, version: int) -> None:
    """Concatenate `parts`; all have the same columns.

    Raises:
        ToolFault: a part has other columns than the first, or a clip is there twice.
    """
    columns: tuple[str, ...] = ()
    table: dict[str, dict[str, str]] = {}
    for part in parts:
        for row in tables.rows(part):
            columns = columns or tuple(row)
            if tuple(row) != columns:
                raise ToolFault(f"{part} has other columns than {parts[0]}; delete both and run the same command again")
            if row["clip"] in table:
                raise ToolFault(f"{part}: clip {row['clip']!r} is in an earlier shard too; build the shard lists again")
            table[row["clip"]] = row
    tables.write(filtered, columns, table.values())


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
