"""What theory predicts of HAEPO's weighted variant on `bandit/pi-squared`, beside REINFORCE.

Setting: A arms that always give R_a, one pull per episode, policy pi = softmax(theta), a batch of M pulls; no entropy
or KL term, one gradient step per batch.

Value. An episode's log-likelihood is that of its one pull, so the weights are w_k = pi(a_k) / sum_j pi(a_j). Of pulls
drawn from mu a share mu_a is on arm a, in the limit of large M, therefore

    sum_k w_k R_k  ->  F(pi; mu) = sum_a mu_a pi_a R_a / sum_a mu_a pi_a

and on policy, mu = pi, this is V(pi) = sum_a rho_a R_a with rho_a = pi_a^2 / sum_b pi_b^2: the expected reward not of
the policy but of the sharpened policy pi^2. REINFORCE's is J(pi) = sum_a pi_a R_a.

Update direction. The batch is data, so F is differentiated in pi alone and mu = pi set afterwards. From
dF / d log pi_a = rho_a (R_a - V), whose sum over arms is zero, and d log pi_a / d theta_b = 1[a = b] - pi_b:

    weighted variant   dF / d theta_b = rho_b (R_b - V)       exactly half of dV / d theta_b
    REINFORCE          dJ / d theta_b = pi_b (R_b - J)

Centring returns changes neither; standardising them divides both by their standard deviation under pi.

Which arm wins. The best, from every policy that gives it any probability, if all R_a differ: so for both flows
d theta / dt = gradient. For V: it never falls along its flow, so it converges, to R_c of some arm c that then has all
the probability. Suppose that c is not the best. Logits have a constant sum; those of arms better than c never fall;
that of c outgrows them all; so some worse arm's goes to minus infinity, and with it each worse arm's, as likelier ones
fall faster. In the end V - R_c = sum_a rho_a (R_a - R_c) has the sign of the better arms' part: V exceeds R_c, and
never falls back to it, a contradiction. J likewise.

How soon is another matter. Near arm c the logit of a better arm b rises by pi_b^2 (R_b - R_c), not by
pi_b (R_b - R_c): an unlikely arm is found in a time of order 1 / pi_b^2 instead of 1 / pi_b. On the way
likely arms of middling reward lead one after the other. From these policies, in units of t, returns as they are:

    starting policy            weighted variant: arm that leads         REINFORCE: arm that leads
    .25 .25 .25 .25            best at once, half at 6.4                best at once, half at 6.4
    .60 .25 .10 .05            2nd at 11, 3rd at 55, best at 93         2nd at 10, best at 20
    .85 .10 .04 .01            2nd at 91, 3rd at 464, best at 319,000   2nd at 27, 3rd at 40, best at 94

From the second policy V = .2425 where J = .33, and the arm whose logit rises fastest is the second for the weighted
reading, the best for REINFORCE. With batches of M the limit holds while M pi_b is large: once the best arm is not
pulled any more, neither finds it. Adam divides steps by their own recent size, which hides most of the difference in
speed (studies/predictions.py shows both).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from haepo_bench.tasks.base import Array

#: Rewards of the arms of `bandit/pi-squared`.
ARMS = (0.2, 0.4, 0.6, 1.0)


class Prediction(NamedTuple):
    """What a batch of infinitely many pulls gives, for returns as they are.

    Args:
        value: what is maximised (minus the loss).
        gradient: [arm] its derivative by the logits, for the batch given.
    """

    value: float
    gradient: Array


def weighted_reading(policy: ArrayLike, rewards: ArrayLike = ARMS) -> Prediction:
    """V and dF / d theta of HAEPO's weighted variant, sampled from the policy itself.

    Args:
        policy: [arm] probabilities.
        rewards: [arm].
    """
    squares = np.square(policy)
    return _prediction(squares / squares.sum(), np.asarray(rewards))


def reinforce(policy: ArrayLike, rewards: ArrayLike = ARMS) -> Prediction:
    """J and dJ / d theta; arguments as for `weighted_reading`."""
    return _prediction(np.asarray(policy), np.asarray(rewards))


def _prediction(weights: Array, rewards: Array) -> Prediction:
    value = float(weights @ rewards)
    return Prediction(value, weights * (rewards - value))
