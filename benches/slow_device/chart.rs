//! The results as a picture: files a second over numbers of workers, and the default's as a line.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    prelude::{
        BLACK, Circle, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor, SVGBackend, WHITE,
    },
    style::{Color, ShapeStyle},
};

use crate::results::{Contest, Results, Row};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 420;
const ORBIT: RGBColor = RGBColor(31, 111, 178);
const FIXED: RGBColor = RGBColor(160, 164, 170);

/// Draw the contests over whole trees below each other.
pub(crate) fn draw(results: &Results, path: &Path) -> Result<()> {
    let curves: Vec<_> = results.contests.iter().filter(|contest| contest.is_whole).collect();
    let all = SVGBackend::new(path, (WIDTH, HEIGHT * curves.len() as u32)).into_drawing_area();
    all.fill(&WHITE)?;
    for (area, contest) in all.split_evenly((curves.len(), 1)).iter().zip(curves) {
        let title = format!("{}, {} ms a request", contest.title(), results.latency_ms);
        draw_contest(area, contest, &title)?;
    }
    all.present().with_context(|| path.display().to_string())
}

type Area<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_contest(area: &Area<'_>, contest: &Contest, title: &str) -> Result<()> {
    let fixed: Vec<(f64, f64)> =
        contest.rows.iter().filter_map(|row| Some((row.jobs? as f64, row.files_per_s()))).collect();
    let rates = || contest.rows.iter().map(Row::files_per_s);
    let (least, most) = (rates().fold(f64::MAX, f64::min), rates().fold(f64::MIN_POSITIVE, f64::max));
    let most_jobs = fixed.iter().map(|(jobs, _)| *jobs).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (1.0..most_jobs * 1.1).log_scale().base(2.0),
            (least / 1.5..most * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_desc("workers (--jobs)")
        .y_desc("files a second")
        .x_label_formatter(&|jobs| format!("{jobs:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()?;
    chart
        .draw_series(LineSeries::new(fixed.iter().copied(), FIXED.stroke_width(2)))?
        .label("fixed numbers")
        .legend(|at| key(at, &FIXED));
    chart.draw_series(fixed.iter().map(|point| Circle::new(*point, 4, FIXED.filled())))?;
    if let Some(default) = contest.default_row() {
        let rate = default.files_per_s();
        chart
            .draw_series(LineSeries::new([(1.0, rate), (most_jobs * 1.1, rate)], ORBIT.stroke_width(2)))?
            .label("the default, which adapts")
            .legend(|at| key(at, &ORBIT));
    }
    let labels = chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK.mix(0.2))
        .draw();
    Ok(labels?)
}

fn key((x, y): (i32, i32), color: &RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 18, y)], ShapeStyle::from(color).stroke_width(2))
}
