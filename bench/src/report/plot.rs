//! Pictures, as SVG: all ratios on one scale, and costs as work grows.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::outcome::{Compared, Curve, Outcome, Report};

type Sheet<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The files, and what they show.
pub fn draw(report: &Report, folder: &Path) -> Result<Vec<(String, &'static str)>> {
    let mut pictures = Vec::new();
    let compared: Vec<(&str, &Compared)> = report
        .rows
        .iter()
        .flat_map(|row| {
            row.outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Compared(one) => Some((row.name, one)),
                _ => None,
            })
        })
        .collect();
    if !compared.is_empty() {
        ratios(&folder.join("ratios.svg"), &compared).map_err(|error| anyhow!("ratios.svg: {error}"))?;
        pictures
            .push(("ratios.svg".to_owned(), "Our time divided by the peer's; left of the line is faster"));
    }
    for (picture, what) in [("growth-areas", "Costs as areas grow"), ("growth-teams", "Costs as teams grow")]
    {
        let curves: Vec<&Curve> =
            report.rows.iter().flat_map(|row| &row.curves).filter(|curve| curve.picture == picture).collect();
        if curves.iter().any(|curve| !curve.points.is_empty()) {
            let file = format!("{picture}.svg");
            growth(&folder.join(&file), what, &curves).map_err(|error| anyhow!("{file}: {error}"))?;
            pictures.push((file, what));
        }
    }
    Ok(pictures)
}

const MET: RGBColor = RGBColor(0x1b, 0x7f, 0x4b);
const MISSED: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
const NO_TARGET: RGBColor = RGBColor(0x55, 0x65, 0x75);
const PALE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const WORDS: (&str, i32) = ("sans-serif", 13);

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A line a comparison, a dot where its ratio is, with its quartiles; a tick where it was to be at
/// most.
fn ratios(file: &Path, all: &[(&str, &Compared)]) -> Drawn {
    const LINE: i32 = 20;
    const LEFT: i32 = 560;
    const WIDTH: i32 = 460;
    const TOP: i32 = 44;
    let height = TOP + LINE * i32::try_from(all.len())? + 20;
    let sheet: Sheet<'_> = SVGBackend::new(file, (u32::try_from(LEFT + WIDTH + 90)?, u32::try_from(height)?))
        .into_drawing_area();
    sheet.fill(&WHITE)?;
    // From a hundredth to four times, by powers.
    let (least, most) = (0.01_f64.ln(), 4.0_f64.ln());
    let place = |ratio: f64| {
        let part = ((ratio.max(1e-9).ln() - least) / (most - least)).clamp(0.0, 1.0);
        LEFT + (part * f64::from(WIDTH)) as i32
    };
    for tick in [0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 2.0, 4.0] {
        let x = place(tick);
        let color = if tick == 1.0 { BLACK } else { PALE };
        sheet.draw(&PathElement::new(vec![(x, TOP - 8), (x, height - 12)], color))?;
        sheet.draw(&Text::new(tick.to_string(), (x - 8, TOP - 26), WORDS))?;
    }
    let mut y = TOP;
    for (row, one) in all {
        let color = match one.met() {
            Some(true) => MET,
            Some(false) => MISSED,
            None => NO_TARGET,
        };
        sheet.draw(&Text::new(format!("{row}: {} / {}", one.case, one.peer), (8, y - 6), WORDS))?;
        sheet.draw(&PathElement::new(
            vec![(place(one.ratio.low), y), (place(one.ratio.high), y)],
            color.stroke_width(3),
        ))?;
        sheet.draw(&Circle::new((place(one.ratio.median), y), 4, color.filled()))?;
        if let Some(target) = one.target {
            let x = place(target);
            sheet.draw(&PathElement::new(vec![(x, y - 6), (x, y + 6)], BLACK.stroke_width(2)))?;
        }
        sheet.draw(&Text::new(format!("{:.2}", one.ratio.median), (LEFT + WIDTH + 20, y - 6), WORDS))?;
        y += LINE;
    }
    sheet.present()?;
    Ok(())
}

/// Both scales by powers of ten: what is flat does not grow, what grows as the work does is a
/// diagonal.
fn growth(file: &Path, what: &str, curves: &[&Curve]) -> Drawn {
    let sheet: Sheet<'_> = SVGBackend::new(file, (860, 460)).into_drawing_area();
    sheet.fill(&WHITE)?;
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1.0_f64, f64::max);
    let least = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let mut chart = ChartBuilder::on(&sheet)
        .caption(what, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .right_y_label_area_size(10)
        .build_cartesian_2d(
            (1.0..most(|point| point.0) * 1.1).log_scale(),
            (least / 2.0..most(|point| point.1) * 2.0).log_scale(),
        )?;
    chart.configure_mesh().x_desc(curves[0].across).y_desc(curves[0].up).light_line_style(WHITE).draw()?;
    for (i, curve) in curves.iter().enumerate().filter(|(_, curve)| !curve.points.is_empty()) {
        let color = Palette99::pick(i).to_rgba();
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(PALE).draw()?;
    sheet.present()?;
    Ok(())
}
