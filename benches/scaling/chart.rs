//! The results as pictures: speed over workers, and over the size of files.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, ValueFormatter},
    },
    prelude::{
        BLACK, Circle, DrawingArea, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
        SVGBackend, WHITE,
    },
    style::{Color, ShapeStyle},
};

use crate::{
    corpus::size,
    measure::Copier,
    results::{Contest, Row},
};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 380;
const ORBIT: RGBColor = RGBColor(31, 111, 178);
const PEER: RGBColor = RGBColor(160, 164, 170);
const OWN: RGBColor = RGBColor(214, 126, 44);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line: what it is called, its color, and its points.
type Line = (&'static str, RGBColor, Vec<(f64, f64)>);

/// Of one copier's row.
type Speed = fn(&Contest, &Row) -> f64;

/// What is drawn into one area.
struct Panel<'a> {
    title: String,
    across: &'static str,
    up: &'static str,
    lines: Vec<Line>,
    /// What to write below a place on the horizontal axis.
    mark: &'a dyn Fn(&f64) -> String,
}

/// Files a second over workers, for each tree.
pub(crate) fn over_jobs(contests: &[Contest], path: &Path) -> Result<()> {
    let all = sheet(contests.len(), path)?;
    for (area, contest) in all.split_evenly((contests.len(), 1)).iter().zip(contests) {
        let is_one = contest.tree.files == 1;
        let speed = |row: &Row| if is_one { contest.megabytes_per_s(row) } else { contest.files_per_s(row) };
        let points: Vec<_> = contest
            .rows
            .iter()
            .filter_map(|row| match row.copier {
                Copier::Jobs(jobs) => Some(((jobs as f64).log2(), speed(row))),
                Copier::Orbit | Copier::Cp => None,
            })
            .collect();
        let ends =
            [0, points.len().saturating_sub(1)].map(|end| points.get(end).map_or(0.0, |point| point.0));
        let level = |copier| {
            contest.row(copier).map(|row| ends.map(|end| (end, speed(row))).to_vec()).unwrap_or_default()
        };
        let lines = vec![
            ("orbit by number of workers", ORBIT, points),
            ("orbit's own choice", OWN, level(Copier::Orbit)),
            ("cp -a", PEER, level(Copier::Cp)),
        ];
        let panel = Panel {
            title: contest.tree.described(),
            across: "workers (--jobs)",
            up: if is_one { "MB a second" } else { "files a second" },
            lines,
            mark: &|place| format!("{:.0}", place.exp2()),
        };
        // From nothing on: what workers make of it is no multiple.
        panel.draw(area, 0.0..panel.most() * 1.15)?;
    }
    all.present().with_context(|| path.display().to_string())
}

/// Files and bytes a second over the size of files.
pub(crate) fn over_size(contests: &[Contest], path: &Path) -> Result<()> {
    let all = sheet(2, path)?;
    let mark = |place: &f64| {
        let is_whole = (place - place.round()).abs() < 1e-6;
        let contest = contests.get(place.round() as usize).filter(|_| is_whole);
        contest.map_or(String::new(), |contest| size(contest.tree.file_bytes))
    };
    let line = |copier, speed: Speed| {
        let points = contests.iter().enumerate().filter_map(|(place, contest)| {
            Some((place as f64, speed(contest, contest.row(copier)?))).filter(|(_, speed)| *speed > 0.0)
        });
        points.collect::<Vec<_>>()
    };
    let panels: [(&str, Speed); 2] =
        [("files a second", Contest::files_per_s), ("MB a second", Contest::megabytes_per_s)];
    for (area, (up, speed)) in all.split_evenly((2, 1)).iter().zip(panels) {
        let lines =
            vec![("orbit", ORBIT, line(Copier::Orbit, speed)), ("cp -a", PEER, line(Copier::Cp, speed))];
        let panel = Panel { title: up.to_owned(), across: "size of each file", up, lines, mark: &mark };
        panel.draw(area, (panel.least() / 1.5..panel.most() * 1.5).log_scale())?;
    }
    all.present().with_context(|| path.display().to_string())
}

fn sheet(panels: usize, path: &Path) -> Result<Area<'_>> {
    let all = SVGBackend::new(path, (WIDTH, HEIGHT * panels as u32)).into_drawing_area();
    all.fill(&WHITE)?;
    Ok(all)
}

impl Panel<'_> {
    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.lines.iter().flat_map(|(_, _, points)| points)
    }

    fn least(&self) -> f64 {
        self.points().map(|point| point.1).fold(f64::MAX, f64::min)
    }

    fn most(&self) -> f64 {
        self.points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max)
    }

    fn draw<Up>(&self, area: &Area<'_>, up: Up) -> Result<()>
    where
        Up: AsRangedCoord<Value = f64>,
        Up::CoordDescType: ValueFormatter<f64>,
    {
        let right = self.points().map(|point| point.0).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 15))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(-0.1..right + 0.1, up)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .x_labels(right as usize + 1)
            .x_desc(self.across)
            .y_desc(self.up)
            .x_label_formatter(&self.mark)
            .y_label_formatter(&|speed| format!("{speed:.0}"))
            .draw()?;
        for (name, color, points) in self.lines.iter().filter(|(_, _, points)| !points.is_empty()) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(*name)
                .legend(|at| key(at, color));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        let mut labels = chart.configure_series_labels();
        Ok(labels.position(SeriesLabelPosition::LowerLeft).border_style(BLACK.mix(0.2)).draw()?)
    }
}

fn key((x, y): (i32, i32), color: &RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 18, y)], ShapeStyle::from(color).stroke_width(2))
}
