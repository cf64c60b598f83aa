//! Pictures of growth.

use std::fs;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::directory;

/// A line of a picture.
pub(super) struct Line {
    /// What it shows.
    pub(super) name: &'static str,
    /// Where it goes through; both above 0.
    pub(super) points: Vec<(f64, f64)>,
}

/// Draws lines over logarithmic axes into `target/bench/<file>`: what grows in proportion rises by 45 degrees.
pub(super) fn log_log(file: &str, title: &str, axes: (&str, &str), lines: &[Line]) -> Result<()> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    let path = directory.join(file);
    draw(
        &SVGBackend::new(&path, (900, 600)).into_drawing_area(),
        title,
        axes,
        lines,
    )
    .map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawingError = DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>;

fn draw(area: &Area<'_>, title: &str, axes: (&str, &str), lines: &[Line]) -> Result<(), DrawingError> {
    area.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|line| &line.points);
    let (x, y) = (
        range(points().map(|point| point.0)),
        range(points().map(|point| point.1)),
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
    chart.configure_mesh().x_desc(axes.0).y_desc(axes.1).draw()?;
    for (index, line) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .position(SeriesLabelPosition::UpperLeft)
        .draw()?;
    area.present()
}

/// The least and the most, and some room around.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::MIN_POSITIVE, f64::max);
    (least / 1.5, most * 1.5)
}
