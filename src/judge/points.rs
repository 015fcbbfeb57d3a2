//! The score of a reply by points, some of which may be taken off.

/// What one criterion is worth, and whether the reply meets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointsItem {
    /// Points for meeting it: below 0 where it is a fault.
    pub points: f64,
    /// Whether the reply meets it.
    pub is_met: bool,
}

/// The points earned as a share of all that can be earned, clipped to [0, 1] (HealthBench, Arora et al. 2025).
///
/// None where no criterion has points above 0: there is nothing to earn.
#[must_use]
pub fn points_score(items: &[PointsItem]) -> Option<f64> {
    let possible: f64 = items.iter().map(|item| item.points.max(0.0)).sum();
    let earned: f64 = items.iter().filter(|item| item.is_met).map(|item| item.points).sum();
    (possible > 0.0).then(|| (earned / possible).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points() {
        for (items, expected) in [
            (&[][..], None),
            (&[(-3.0, true)], None),
            (&[(0.0, true)], None),
            (&[(5.0, true), (3.0, false), (-4.0, true)], Some(0.125)),
            (&[(2.0, false), (-9.0, true)], Some(0.0)),
            (&[(2.0, true), (-9.0, false)], Some(1.0)),
        ] {
            let items: Vec<PointsItem> = items.iter().map(|&(points, is_met)| PointsItem { points, is_met }).collect();
            assert_eq!(points_score(&items), expected, "{items:?}");
        }
    }
}
