//! Requests: the same id twice gets the first answer, for as long as a window says. Only final answers
//! are kept.

use crate::id::RequestId;
use crate::outcome::{Outcome, Rejection};
use crate::turn::Turn;

impl Turn<'_> {
    /// Carries a request out unless it was answered before, or is too old to know.
    pub(crate) fn once(
        &mut self,
        request: RequestId,
        carry_out: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        if let Some(answer) = self.state.requests.get(&request) {
            return answer.clone();
        }
        let window_ms = self.state.cluster.settings.request_window_ms;
        if request.wall_ms() < self.stamp.wall_ms.saturating_sub(window_ms) {
            return Outcome::Rejected(Rejection::RequestTooOld { window_ms });
        }
        let outcome = carry_out(self);
        let computed_again = matches!(
            outcome,
            Outcome::Rejected(Rejection::BaseMoved { .. } | Rejection::StageIncomplete { .. })
        );
        if !computed_again {
            self.state.requests.insert(request, outcome.clone());
            self.touch_request(request);
        }
        outcome
    }
}
