//! The candidates as a picture: domain fit against memory, or against price where memory is not known.
//!
//! The same candidates give the same bytes: all numbers are written with one decimal. Foreign text is escaped.

use std::fmt::Write as _;

use crate::data::{Candidate, Candidates, Place};

const WIDTH: f64 = 860.0;
/// The ends of the axes; the lower one is further down where many names need the room.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 380.0;
/// What is below the axes.
const FOOT: f64 = 60.0;
/// Where names begin, and how far they are apart at least.
const NAMES: f64 = 632.0;
const NAME_HEIGHT: f64 = 17.0;

/// Names longer than this are cut.
const LONGEST_NAME: usize = 32;

/// One candidate in the picture.
struct Point<'a> {
    row: &'a Candidate,
    /// What it costs, in the unit of the axis.
    cost: f64,
    fit: f64,
    /// Whether none is better at no more cost.
    on_front: bool,
}

/// Draws the shortlist as SVG; none where fewer than two candidates have a fit and the same kind of cost.
#[must_use]
pub fn chart(candidates: &Candidates) -> Option<String> {
    let memory = points(candidates, |row| row.memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 30)));
    let price = points(candidates, |row| row.price_out);
    let (axis, points) = match (memory.len(), price.len()) {
        (2.., _) => ("memory needed, GiB", memory),
        (_, 2..) => ("price of a million tokens that it writes, US dollars", price),
        _ => return None,
    };
    Some(draw(axis, &points))
}

fn points(candidates: &Candidates, cost: impl Fn(&Candidate) -> Option<f64>) -> Vec<Point<'_>> {
    let mut points: Vec<Point<'_>> = candidates
        .shortlist
        .iter()
        .filter_map(|row| Some(Point { row, cost: cost(row)?, fit: row.fit?, on_front: false }))
        .collect();
    let all: Vec<(f64, f64)> = points.iter().map(|point| (point.cost, point.fit)).collect();
    for point in &mut points {
        let is_beaten = |(cost, fit): &(f64, f64)| {
            *cost <= point.cost && *fit >= point.fit && (*cost < point.cost || *fit > point.fit)
        };
        point.on_front = !all.iter().any(is_beaten);
    }
    points.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(b.fit.total_cmp(&a.fit)).then(a.row.id.cmp(&b.row.id)));
    points
}

/// What the axes show: costs from 0, and that part of all fits in which the points are.
struct Axes {
    most: f64,
    low: f64,
    high: f64,
    bottom: f64,
}

impl Axes {
    fn of(points: &[Point<'_>]) -> Self {
        let most = points.iter().map(|point| point.cost).fold(0.0, f64::max);
        let (low, high) =
            points.iter().fold((1.0_f64, 0.0_f64), |(low, high), point| (low.min(point.fit), high.max(point.fit)));
        let (low, high) = ((low * 10.0 - 0.2).floor() / 10.0, (high * 10.0 + 0.2).ceil() / 10.0);
        let bottom = BOTTOM.max(TOP + NAME_HEIGHT * points.len() as f64);
        Self { most: scale_end(most), low: low.max(0.0), high: high.min(1.0), bottom }
    }

    fn x(&self, cost: f64) -> f64 {
        LEFT + cost / self.most * (RIGHT - LEFT)
    }

    fn y(&self, fit: f64) -> f64 {
        self.bottom - (fit - self.low) / (self.high - self.low) * (self.bottom - TOP)
    }
}

fn draw(axis: &str, points: &[Point<'_>]) -> String {
    let axes = Axes::of(points);
    let height = axes.bottom + FOOT;
    let mut svg = String::new();
    let mut line = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    line("<!-- Written by evalflow: run it again rather than edit this file. -->".to_owned());
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">"
    ));
    line("<title>Domain fit of the candidates against what they cost</title>".to_owned());
    line(format!("<rect width=\"{WIDTH:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>"));
    grid(&axes, &mut line);
    line(format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{axis}</text>",
        LEFT.midpoint(RIGHT),
        axes.bottom + 44.0
    ));
    line(format!("<text x=\"{LEFT:.1}\" y=\"22\">domain fit; the Pareto front is filled and joined</text>"));
    let front: Vec<&Point<'_>> = points.iter().filter(|point| point.on_front).collect();
    if let Some((first, rest)) = front.split_first() {
        let mut path = format!("M{:.1} {:.1}", axes.x(first.cost), axes.y(first.fit));
        for point in rest {
            write!(path, "H{:.1}V{:.1}", axes.x(point.cost), axes.y(point.fit)).expect("writing to a text cannot fail");
        }
        line(format!(
            "<path d=\"{path}\" stroke=\"#1f6feb\" stroke-width=\"1.5\" fill=\"none\" stroke-dasharray=\"4 3\"/>"
        ));
    }
    named(&axes, points, &mut line);
    line("</svg>".to_owned());
    svg
}

fn grid(axes: &Axes, line: &mut impl FnMut(String)) {
    for step in 0..=5_u32 {
        let share = f64::from(step) / 5.0;
        let (cost, fit) = (share * axes.most, axes.low + share * (axes.high - axes.low));
        let (across, up) = (axes.x(cost), axes.y(fit));
        line(format!(
            "<path d=\"M{LEFT:.1} {up:.1}H{RIGHT:.1}M{across:.1} {TOP:.1}V{:.1}\" stroke=\"#e3e3e3\" fill=\"none\"/>",
            axes.bottom
        ));
        line(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{}</text>",
            LEFT - 8.0,
            up + 4.0,
            tick(fit)
        ));
        line(format!(
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
            axes.bottom + 18.0,
            tick(cost)
        ));
    }
}

/// The points, each led to its name in the column beside them: candidates lie close together, names must not.
fn named(axes: &Axes, points: &[Point<'_>], line: &mut impl FnMut(String)) {
    let mut order: Vec<&Point<'_>> = points.iter().collect();
    order.sort_by(|a, b| b.fit.total_cmp(&a.fit).then(b.cost.total_cmp(&a.cost)).then(a.row.id.cmp(&b.row.id)));
    let heights = spread(&order.iter().map(|point| axes.y(point.fit)).collect::<Vec<_>>(), axes.bottom);
    for (Point { cost, fit, .. }, height) in order.iter().zip(&heights) {
        let (x, y) = (axes.x(*cost), axes.y(*fit));
        line(format!(
            "<path d=\"M{x:.1} {y:.1}L{:.1} {height:.1}H{:.1}\" stroke=\"#c8c8c8\" fill=\"none\"/>",
            RIGHT + 6.0,
            NAMES - 6.0
        ));
    }
    for (Point { row, cost, fit, on_front }, height) in order.iter().zip(&heights) {
        let fill = if *on_front { "#1f6feb" } else { "#ffffff" };
        let is_primary = row.place == Place::Primary;
        let (radius, weight) = if is_primary { (7.0, " font-weight=\"bold\"") } else { (5.0, "") };
        let (x, y) = (axes.x(*cost), axes.y(*fit));
        line(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"#1f6feb\"/>"));
        line(format!("<text x=\"{NAMES:.1}\" y=\"{:.1}\"{weight}>{}</text>", height + 4.0, name(&row.id)));
    }
}

/// Heights near the ones wanted, which ascend, so far apart that names have room.
fn spread(wanted: &[f64], bottom: f64) -> Vec<f64> {
    let mut heights = wanted.to_vec();
    for at in 1..heights.len() {
        heights[at] = heights[at].max(heights[at - 1] + NAME_HEIGHT);
    }
    let mut lowest = bottom;
    for height in heights.iter_mut().rev() {
        *height = height.min(lowest);
        lowest = *height - NAME_HEIGHT;
    }
    heights
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
fn scale_end(largest: f64) -> f64 {
    let mut power = 1e-6;
    while power < 1e12 {
        for factor in [1.0, 2.0, 2.5, 5.0] {
            if power * factor >= largest && largest > 0.0 {
                return power * factor;
            }
        }
        power *= 10.0;
    }
    1.0
}

fn tick(value: f64) -> String {
    let digits = format!("{value:.2}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The model's name without its organisation, short, and safe in XML.
fn name(id: &str) -> String {
    let own = id.rsplit('/').next().unwrap_or(id);
    let short: String = own.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{candidate, candidates};

    fn row(id: &str, place: Place, memory: u64, fit: f64) -> Candidate {
        Candidate { memory_bytes: Some(memory << 30), fit: Some(fit), ..candidate(id, place, "") }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let shortlist = vec![
            row("a/best", Place::Primary, 20, 0.9),
            row("a/cheap", Place::Backup, 4, 0.5),
            row("a/beaten", Place::Shortlisted, 20, 0.4),
            row("a/<b>&", Place::Shortlisted, 4, 0.5),
            Candidate { fit: None, ..row("a/unknown", Place::Shortlisted, 1, 0.0) },
        ];
        let all = Candidates { shortlist, ..candidates() };
        let drawn = points(&all, |row| row.memory_bytes.map(|bytes| bytes as f64));
        let front: Vec<&str> = drawn.iter().filter(|point| point.on_front).map(|point| point.row.id.as_str()).collect();
        assert_eq!(front, ["a/<b>&", "a/cheap", "a/best"]);
        let svg = chart(&all).unwrap();
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("fill=\"#1f6feb\" stroke").count(), 3);
        assert!(svg.contains("&lt;b&gt;&amp;") && svg.contains("memory needed, GiB"));
        // The order of the rows does not matter, and two runs give the same bytes.
        let mut turned = all.clone();
        turned.shortlist.reverse();
        assert_eq!(chart(&turned), Some(svg));
    }

    #[test]
    fn price_stands_in_and_one_point_is_no_picture() {
        let priced =
            |id, price| Candidate { memory_bytes: None, price_out: Some(price), ..row(id, Place::Shortlisted, 1, 0.5) };
        let all = Candidates { shortlist: vec![priced("a", 0.4), priced("b", 2.0)], ..candidates() };
        assert!(chart(&all).unwrap().contains("US dollars"));
        let one = Candidates { shortlist: vec![priced("a", 0.4)], ..candidates() };
        assert_eq!(chart(&one), None);
    }

    #[test]
    fn names_have_room() {
        let far = BOTTOM - 5.0;
        for wanted in [vec![], vec![50.0], vec![50.0; 12], vec![50.0, 60.0, 200.0, far, far, far]] {
            let heights = spread(&wanted, BOTTOM);
            assert!(heights.windows(2).all(|two| two[1] - two[0] >= NAME_HEIGHT - 1e-9), "{heights:?}");
            assert!(heights.iter().all(|height| (TOP..=BOTTOM).contains(height)), "{heights:?}");
        }
        assert!(
            spread(&[50.0, 200.0], BOTTOM)
                .iter()
                .zip([50.0, 200.0])
                .all(|(found, wanted)| (found - wanted).abs() < 1e-9)
        );
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (largest, end) in [(0.0, 1.0), (0.3, 0.5), (1.0, 1.0), (17.9, 20.0), (21.0, 25.0), (60.0, 100.0)] {
            assert!((scale_end(largest) - end).abs() < 1e-9, "{largest}");
        }
    }
}
