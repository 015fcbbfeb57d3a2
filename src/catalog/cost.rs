//! What tokens cost: asked for elsewhere, and computed on hardware of one's own.

use crate::spec::Hosting;

/// Hours of a month.
const HOURS: f64 = 730.0;

/// What a million tokens cost on either side, and where they meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BreakEven {
    /// US dollars for a million tokens asked for elsewhere.
    pub(super) api: f64,
    /// The same computed on one's own hardware, as busy as it is.
    pub(super) own: f64,
    /// Tokens a month from which one's own hardware is cheaper; none where it never is.
    pub(super) tokens: Option<f64>,
    /// Tokens a month that the hardware gives when it is as busy as it is.
    pub(super) capacity: f64,
}

/// Compares both ways at these prices of prompts and replies.
pub(super) fn break_even(price_in: f64, price_out: f64, hosting: &Hosting) -> BreakEven {
    let Hosting { gpu_hour, gpus, tokens_per_s, utilisation, prompt_share } = *hosting;
    let prompts = prompt_share * 1e6;
    let api = api_cost(prompts, 1e6 - prompts, price_in, price_out, 0.0, 0.0);
    let own = self_hosted(gpu_hour, gpus as f64, tokens_per_s, utilisation);
    // Hardware that is rented by the hour costs the same however much it does.
    let fixed = gpu_hour * gpus as f64 * HOURS;
    let capacity = tokens_per_s * 3600.0 * HOURS * utilisation;
    let tokens = break_even_tokens(fixed, api, 0.0).filter(|tokens| *tokens <= capacity);
    BreakEven { api, own, tokens, capacity }
}

/// US dollars for tokens of prompts and of replies, of which some of the prompts' come from the server's cache; prices are
/// for a million.
pub(crate) fn api_cost(input: f64, output: f64, price_in: f64, price_out: f64, cached: f64, price_cached: f64) -> f64 {
    ((input - cached) * price_in + cached * price_cached + output * price_out) / 1e6
}

/// US dollars for a million tokens on hardware that is paid by the hour and busy for a share of it.
pub(crate) fn self_hosted(gpu_hour: f64, gpus: f64, tokens_per_s: f64, utilisation: f64) -> f64 {
    gpu_hour * gpus / (tokens_per_s * 3600.0 * utilisation) * 1e6
}

/// Tokens a month from which a fixed cost pays; none where it never does.
pub(crate) fn break_even_tokens(fixed: f64, api: f64, variable: f64) -> Option<f64> {
    let saved = api - variable;
    (saved > 0.0).then(|| fixed / saved * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheap_tokens_are_not_worth_a_machine() {
        let hosting = Hosting { gpu_hour: 2.0, gpus: 1, tokens_per_s: 1500.0, utilisation: 0.3, prompt_share: 0.75 };
        let cheap = break_even(0.1, 0.4, &hosting);
        assert!((cheap.api - 0.175).abs() < 1e-12);
        assert_eq!(cheap.tokens, None);
        let dear = break_even(3.0, 15.0, &hosting);
        // 1,460 dollars a month at 6 dollars a million.
        assert!((dear.tokens.unwrap() - 1460.0 / 6.0 * 1e6).abs() < 1.0);
        assert!(dear.own < dear.api && cheap.own > cheap.api);
        assert_eq!(break_even_tokens(1.0, 1.0, 1.0), None);
    }
}
