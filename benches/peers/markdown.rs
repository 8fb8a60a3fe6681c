//! Tables that read well as text too.

/// A Markdown table with aligned columns, the first line being its head.
pub(crate) fn table<const COLUMNS: usize>(mut lines: Vec<[String; COLUMNS]>) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    lines.insert(1, widths.map(|width| "-".repeat(width)));
    let mut table = String::new();
    for line in lines {
        // A bar would end the cell.
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{:width$}", cell.replace('|', "/")));
        table += &format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    table
}
