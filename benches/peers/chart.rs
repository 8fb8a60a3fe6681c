//! The results as a picture: for each tree a bar of wall seconds for each copier.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::{
    coord::Shift,
    prelude::{BLACK, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, WHITE},
    style::{ShapeStyle, TextStyle},
};

use crate::{held::Contest, results::Results, row::Row};

const WIDTH: u32 = 1010;
const ROW: i32 = 22;
const HEAD: i32 = 44;
/// Where bars begin and, at the longest, end.
const BARS: (i32, i32) = (300, 690);
const ORBIT: RGBColor = RGBColor(31, 111, 178);
const PEER: RGBColor = RGBColor(160, 164, 170);
const FAINT: RGBColor = RGBColor(100, 104, 110);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn height(contest: &Contest) -> i32 {
    HEAD + ROW * contest.rows.len() as i32 + ROW / 2
}

/// Draw all trees below each other.
pub(crate) fn draw(results: &Results, path: &Path) -> Result<()> {
    let total: i32 = results.contests.iter().map(height).sum();
    let all = SVGBackend::new(path, (WIDTH, (total + 2 * ROW) as u32)).into_drawing_area();
    all.fill(&WHITE)?;
    let mut top = 0;
    for contest in &results.contests {
        draw_contest(&all, contest, top)?;
        top += height(contest);
    }
    text(&all, &results.machine.described(), (10, top + 4), 12.0, &FAINT)?;
    let note = format!(
        "Median wall seconds of {} alternating runs (CPU seconds), and what each copy lost.",
        results.runs
    );
    text(&all, &note, (10, top + ROW), 12.0, &FAINT)?;
    all.present().with_context(|| path.display().to_string())
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), size: f64, color: &RGBColor) -> Result<()> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(color);
    Ok(area.draw_text(words, &style, at)?)
}

fn draw_contest(area: &Area<'_>, contest: &Contest, top: i32) -> Result<()> {
    text(area, &contest.title(), (10, top + 12), 15.0, &BLACK)?;
    let longest = contest.rows.iter().filter_map(Row::wall_s).fold(f64::MIN_POSITIVE, f64::max);
    for (row, y) in contest.rows.iter().zip((top + HEAD..).step_by(ROW as usize)) {
        text(area, &row.copier, (10, y), 13.0, &BLACK)?;
        let (Some(wall), Some(cpu), None) = (row.wall_s(), row.cpu_s(), &row.trouble) else {
            text(area, "made no whole copy", (BARS.0, y), 12.0, &FAINT)?;
            continue;
        };
        let end = BARS.0 + (f64::from(BARS.1 - BARS.0) * wall / longest).round() as i32;
        let color = if row.is_orbit { ORBIT } else { PEER };
        area.draw(&Rectangle::new([(BARS.0, y), (end, y + ROW - 6)], ShapeStyle::from(&color).filled()))?;
        let lost = if row.lost.is_empty() { String::new() } else { format!("  − {}", row.lost.join(", ")) };
        let words = format!("{wall:.2} ({cpu:.2}){lost}");
        text(area, &words, (end + 6, y + 1), 12.0, &FAINT)?;
    }
    Ok(())
}
