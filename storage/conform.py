"""Bringing a table to its schema: types, required values, what must hold in a row and between rows."""

import pyarrow as pa
import pyarrow.compute as pc

from densecorr.errors import AnnotationError

from .schemas import CHOICES, KEYS, POINT_COLUMNS, schema_of


def conform_table(name: str, table: pa.Table) -> pa.Table:
    """The table with exactly the columns of its schema, in their order and types, checked.

    Columns that may be empty and are absent become null.

    Raises:
        AnnotationError: an unknown or absent column, a value that does not fit its column, a repeated key, or
            point columns of unequal length in one label.
    """
    schema = schema_of(name)
    unknown = [column for column in table.column_names if column not in schema.names]
    if unknown:
        raise unfit(name, f"the columns {', '.join(schema.names)}", f"also {', '.join(unknown)}")
    columns = [_conform_column(name, field, table) for field in schema]
    conformed = pa.table(columns, schema=schema)
    _check_rows(name, conformed)
    return conformed


def _conform_column(name: str, field: pa.Field, table: pa.Table) -> pa.ChunkedArray | pa.Array:
    if field.name not in table.column_names:
        if not field.nullable:
            raise unfit(name, f"a column {field.name}", f"only {', '.join(table.column_names)}")
        return pa.nulls(len(table), field.type)
    column = table.column(field.name)
    try:
        column = column if column.type == field.type else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise unfit(name, f"{field.type} in column {field.name}", f"{column.type} ({error})") from error
    if not field.nullable and column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise unfit(name, f"a value in column {field.name}", f"none in row {row}")
    if (pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)) and pc.list_flatten(
        column
    ).null_count:
        raise unfit(name, f"lists without gaps in column {field.name}", "an empty entry in a list")
    return column


def _check_rows(name: str, table: pa.Table) -> None:
    key = table.column(KEYS[name])
    if pc.count_distinct(key).as_py() != len(key):
        counts = pc.value_counts(key.combine_chunks())
        repeated = counts.field(0).filter(pc.greater(counts.field(1), 1))
        raise unfit(
            name, f"every {KEYS[name]} once", f"'{repeated[0]}' and {len(repeated) - 1} others more often"
        )
    for (table_name, column), choices in CHOICES.items():
        if table_name == name:
            wrong = pc.invert(pc.is_in(table.column(column), pa.array(choices)))
            if pc.any(wrong).as_py():
                row = pc.index(wrong, True).as_py()
                raise unfit(
                    name, f"one of {', '.join(choices)} as {column}", repr(table[column][row].as_py())
                )
    if name == "labels":
        _check_points(table)
    if name == "instances":
        _check_silhouettes(table)


def _check_points(table: pa.Table) -> None:
    """Every list of a label has one entry a point."""
    n_points = pc.list_value_length(table.column("x"))
    for column in POINT_COLUMNS:
        differs = pc.not_equal(pc.list_value_length(table.column(column)), n_points)
        if pc.any(differs).as_py():
            row = pc.index(pc.fill_null(differs, False), True).as_py()
            raise unfit(
                "labels",
                f"{n_points[row]} entries of {column}, one for each x, in {table['label_id'][row]}",
                f"{len(table[column][row])}",
            )


def _check_silhouettes(table: pa.Table) -> None:
    """A silhouette is whole: height and width, and either the counts or polygons."""
    silhouette = table.column("silhouette")
    whole = pc.and_(
        pc.equal(pc.fill_null(pc.list_value_length(pc.struct_field(silhouette, "size")), 0), 2),
        pc.xor(
            pc.is_valid(pc.struct_field(silhouette, "counts")),
            pc.greater(pc.fill_null(pc.list_value_length(pc.struct_field(silhouette, "polygons")), 0), 0),
        ),
    )
    broken = pc.and_(silhouette.is_valid(), pc.invert(whole))
    if pc.any(broken).as_py():
        row = pc.index(broken, True).as_py()
        raise unfit(
            "instances",
            f"size [h, w] and either counts or polygons in the silhouette of {table['instance_id'][row]}",
            repr(table["silhouette"][row].as_py()),
        )


def unfit(name: str, expected: str, received: str) -> AnnotationError:
    """The error for rows that are not those of table `name`."""
    return AnnotationError(
        f"{expected} (table {name})", received, "Correct the rows before they are written."
    )
