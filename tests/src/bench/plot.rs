//! A log-log plot as SVG, one line a shape. It reads on light and on dark paper.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;

/// Of one lightness, and told apart by people who see few colours (after Okabe and Ito, "Color universal design", 2008).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#808080",
];

const STYLE: &str = "<style>text{font:13px sans-serif;fill:#222}.axis{stroke:#222}.grid{stroke:#ccc}\
.near{stroke:#888;stroke-dasharray:6 5}\
@media (prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#ddd}.grid{stroke:#444}}</style>";

/// One line of the plot: its name and its points, sorted by x. Both axes are logarithmic, so all are above 0.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A range of whole decades and the pixels that it lies on.
struct Axis {
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let low = low.log10().floor() as i32;
        let high = (high.log10().ceil() as i32).max(low + 1);
        Self {
            low,
            high,
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|decade| 10f64.powi(decade))
    }
}

/// The plot, with a broken line that is linear in x and begins where the fastest line does. None without a point.
pub(super) fn plot(title: &str, x_label: &str, y_label: &str, lines: &[Line]) -> Option<String> {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    points().next()?;
    let x = Axis::over(points().map(|(x, _)| x), LEFT, WIDTH - RIGHT);
    let y = Axis::over(points().map(|(_, y)| y), HEIGHT - BOTTOM, TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n{STYLE}\n\
         <title>{title}</title>\n<text x=\"{LEFT}\" y=\"22\">{title}</text>\n",
        title = escaped(title),
    );
    // Writing to a string does not fail.
    let _ = frame(&mut svg, &x, &y, x_label, y_label);
    let _ = near_linear(&mut svg, &x, &y, points());
    for (n, line) in lines.iter().enumerate() {
        let _ = curve(&mut svg, &x, &y, line, COLOURS[n % COLOURS.len()], n);
    }
    Some(svg + "</svg>\n")
}

fn frame(svg: &mut String, x: &Axis, y: &Axis, x_label: &str, y_label: &str) -> std::fmt::Result {
    for decade in x.decades() {
        let at = x.at(decade);
        writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {:.1}V{:.1}\"/>",
            y.from, y.to
        )?;
        writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decade}</text>",
            y.from + 20.0
        )?;
    }
    for decade in y.decades() {
        let at = y.at(decade);
        writeln!(
            svg,
            "<path class=\"grid\" d=\"M{:.1} {at:.1}H{:.1}\"/>",
            x.from, x.to
        )?;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{decade}</text>",
            x.from - 8.0,
            at + 4.0
        )?;
    }
    writeln!(
        svg,
        "<path class=\"axis\" fill=\"none\" d=\"M{0:.1} {3:.1}V{2:.1}H{1:.1}\"/>",
        x.from, x.to, y.from, y.to
    )?;
    let middle = f64::midpoint(x.from, x.to);
    writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        HEIGHT - 14.0,
        escaped(x_label)
    )?;
    let middle = f64::midpoint(y.from, y.to);
    writeln!(
        svg,
        "<text transform=\"translate(20 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escaped(y_label)
    )
}

fn near_linear(
    svg: &mut String,
    x: &Axis,
    y: &Axis,
    points: impl Iterator<Item = (f64, f64)> + Clone,
) -> std::fmt::Result {
    let first = points.clone().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
    let fastest = points
        .filter(|(x, _)| *x <= first)
        .map(|(_, y)| y)
        .fold(f64::INFINITY, f64::min);
    // It ends where it leaves the frame, at the right or at the top.
    let reach = (10f64.powi(x.high) / first).min(10f64.powi(y.high) / fastest);
    let (from_x, from_y) = (x.at(first), y.at(fastest));
    let (to_x, to_y) = (x.at(first * reach), y.at(fastest * reach));
    writeln!(
        svg,
        "<path class=\"near\" fill=\"none\" d=\"M{from_x:.1} {from_y:.1}L{to_x:.1} {to_y:.1}\"/>"
    )?;
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">linear</text>",
        to_x - 6.0,
        to_y.max(TOP) + 4.0
    )
}

fn curve(
    svg: &mut String,
    x: &Axis,
    y: &Axis,
    line: &Line,
    colour: &str,
    n: usize,
) -> std::fmt::Result {
    let places: Vec<(f64, f64)> = line
        .points
        .iter()
        .map(|(px, py)| (x.at(*px), y.at(*py)))
        .collect();
    let path: Vec<String> = places
        .iter()
        .map(|(px, py)| format!("{px:.1},{py:.1}"))
        .collect();
    writeln!(
        svg,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
        path.join(" ")
    )?;
    for (px, py) in &places {
        writeln!(
            svg,
            "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
        )?;
    }
    // The names stand in a list of their own: lines that end together would print over each other.
    let (at_x, at_y) = (WIDTH - RIGHT + 16.0, TOP + 10.0 + 20.0 * n as f64);
    writeln!(
        svg,
        "<path stroke=\"{colour}\" stroke-width=\"2\" d=\"M{at_x:.1} {at_y:.1}h16\"/>"
    )?;
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        at_x + 22.0,
        at_y + 4.0,
        escaped(&line.name)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line {
            name: name.to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_decade_is_as_long_as_every_other() {
        let axis = Axis::over([200.0, 50_000.0].into_iter(), 0.0, 300.0);
        assert_eq!((axis.low, axis.high), (2, 5));
        assert!((axis.at(1_000.0) - 100.0).abs() < 1e-9);
        assert!((axis.at(10_000.0) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn every_line_is_drawn_and_named_and_both_axes_are_labelled() {
        let lines = [
            line("flat", &[(1e3, 0.1), (1e4, 1.0)]),
            line("a<b", &[(1e3, 0.2), (1e4, 3.0)]),
        ];
        let svg = plot("cost", "resources", "seconds", &lines).expect("there are points");
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        for text in [
            ">flat<",
            ">a&lt;b<",
            ">resources<",
            ">seconds<",
            ">linear<",
            "prefers-color-scheme:dark",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn nothing_is_not_drawn() {
        assert!(plot("cost", "x", "y", &[line("flat", &[])]).is_none());
    }
}
