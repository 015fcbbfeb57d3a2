//! The standard normal distribution.

use super::float;

/// Coefficients of a polynomial, the highest power first.
type Polynomial = [f64; 8];

// The three rational approximations of algorithm AS 241, routine PPND16: for the centre, the shoulders and the tails.
const CENTRE: (Polynomial, Polynomial) = (
    [
        2_509.080_928_730_122_7,
        33_430.575_583_588_13,
        67_265.770_927_008_7,
        45_921.953_931_549_87,
        13_731.693_765_509_46,
        1_971.590_950_306_551_3,
        133.141_667_891_784_38,
        3.387_132_872_796_366_5,
    ],
    [
        5_226.495_278_852_854,
        28_729.085_735_721_943,
        39_307.895_800_092_71,
        21_213.794_301_586_597,
        5_394.196_021_424_751,
        687.187_007_492_057_9,
        42.313_330_701_600_91,
        1.0,
    ],
);
const SHOULDER: (Polynomial, Polynomial) = (
    [
        7.745_450_142_783_414e-4,
        2.272_384_498_926_918_4e-2,
        2.417_807_251_774_506e-1,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9,
        5.475_938_084_995_345e-4,
        1.519_866_656_361_645_7e-2,
        1.481_039_764_274_800_8e-1,
        6.897_673_349_851e-1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
);
const TAIL: (Polynomial, Polynomial) = (
    [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        1.242_660_947_388_078_4e-3,
        2.653_218_952_657_612_4e-2,
        2.965_605_718_285_048_7e-1,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    [
        2.044_263_103_389_939_8e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        7.868_691_311_456_133e-4,
        1.487_536_129_085_061_5e-2,
        1.369_298_809_227_358e-1,
        5.998_322_065_558_88e-1,
        1.0,
    ],
);

fn ratio((numerator, denominator): &(Polynomial, Polynomial), x: f64) -> f64 {
    let horner = |polynomial: &Polynomial| polynomial.iter().fold(0.0, |sum, coefficient| sum * x + coefficient);
    horner(numerator) / horner(denominator)
}

/// The probability that a standard normal variable lies below `x`.
#[must_use]
pub fn normal_probability(x: f64) -> f64 {
    float::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// The `x` below which a standard normal variable lies with probability `p`, in (0, 1); infinite at the ends, NaN outside.
///
/// Wichura 1988, algorithm AS 241 (PPND16): relative error about 1e-16.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(&CENTRE, 0.180_625 - q * q);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return if tail < 0.0 { f64::NAN } else { q * f64::INFINITY };
    }
    let r = (-float::ln(tail)).sqrt();
    let x = if r <= 5.0 { ratio(&SHOULDER, r - 1.6) } else { ratio(&TAIL, r - 5.0) };
    if q < 0.0 { -x } else { x }
}

/// The `z` for which a standard normal variable lies within ±`z` with probability `confidence`, in (0, 1): 1.96 for 0.95.
#[must_use]
pub fn two_sided_z(confidence: f64) -> f64 {
    // The lower tail keeps its digits where the upper one is lost beside 1.
    -quantile((1.0 - confidence) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles() {
        // From an independent implementation in double precision.
        for (p, expected) in [
            (1e-300, -37.047_096_299_361_2),
            (1e-20, -9.262_340_089_798_405),
            (1e-10, -6.361_340_902_404_056),
            (0.005, -2.575_829_303_548_9),
            (0.025, -1.959_963_984_540_054),
            (0.075, -1.439_531_470_938_455_7),
            (0.3, -0.524_400_512_708_040_7),
            (0.5, 0.0),
            (0.9, 1.281_551_565_544_600_8),
            (0.999_999, 4.753_424_308_817_089),
        ] {
            assert!((quantile(p) - expected).abs() <= 1e-13 * expected.abs(), "{p}: {}", quantile(p));
        }
        assert!((two_sided_z(0.95) - 1.959_963_984_540_054).abs() < 1e-15);
        assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!([-0.1, 1.1, f64::NAN].map(quantile).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn quantile_undoes_the_distribution_function() {
        for step in 1..2000 {
            let p = f64::from(step) / 2000.0;
            let back = normal_probability(quantile(p));
            assert!((back - p).abs() < 1e-14, "{p} -> {back}");
        }
    }
}
