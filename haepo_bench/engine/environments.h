// Environments stepped side by side: state [episode][variable] in double precision, one loop over episodes a step.
//
// Dynamics, rewards and ends of classic control are those of tasks/environments/classic_control.py, which follow
// gymnasium's own files; finite tasks are the tables of tasks/finite/tabular.py.
#pragma once
#include <cstring>

#include "vectors.h"

namespace engine {

enum EnvironmentKind { CART_POLE = 0, MOUNTAIN_CAR = 1, ACROBOT = 2, PENDULUM = 3, TABLE = 4 };

constexpr double PI = 3.14159265358979323846;

static inline double clipped(double x, double low, double high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

// x mod 2 pi, moved to [-pi, pi).
static inline double wrapped(double x) {
  double turns = (x + PI) / (2 * PI);
  return (x + PI) - __builtin_floor(turns) * (2 * PI) - PI;
}

// What an action is, as the environment takes it: a number of a discrete one, a clipped force of a continuous one.
struct Action {
  const int64_t *discrete;
  const float *continuous;
};

// gymnasium/envs/classic_control/cartpole.py (after Barto, Sutton and Anderson 1983)
struct CartPole {
  static constexpr int VARIABLES = 4, FEATURES = 4;
  static inline void observe(const double *s, float *x) {
    for (int i = 0; i < 4; i++) x[i] = (float)s[i];
  }
  static inline void move(double *s, Action action, double &reward, int64_t &terminated) {
    const double gravity = 9.8, pole_mass = 0.1, total_mass = 1.1, half_length = 0.5, seconds = 0.02;
    const double lever = pole_mass * half_length / total_mass;
    double sine, cosine;
    sine_cosine(s[2], sine, cosine);
    double push = ((double)*action.discrete - 0.5) * (2 * 10.0 / total_mass) + lever * s[3] * s[3] * sine;
    double spin_up = (gravity * sine - cosine * push) / (half_length * 4.0 / 3.0 - lever * cosine * cosine);
    double speed_up = push - lever * spin_up * cosine;
    double position = s[0] + seconds * s[1], angle = s[2] + seconds * s[3];
    s[0] = position, s[1] += seconds * speed_up, s[2] = angle, s[3] += seconds * spin_up;
    reward = 1.0;
    const double widest = 12 * 2 * PI / 360;
    terminated = (__builtin_fabs(position) > 2.4) | (__builtin_fabs(angle) > widest);
  }
};

// gymnasium/envs/classic_control/mountain_car.py (after Moore 1990)
struct MountainCar {
  static constexpr int VARIABLES = 2, FEATURES = 2;
  static inline void observe(const double *s, float *x) {
    for (int i = 0; i < 2; i++) x[i] = (float)s[i];
  }
  static inline void move(double *s, Action action, double &reward, int64_t &terminated) {
    double sine, cosine;
    sine_cosine(3 * s[0], sine, cosine);
    double velocity = s[1] + ((double)*action.discrete - 1) * 0.001 - cosine * 0.0025;
    velocity = clipped(velocity, -0.07, 0.07);
    double position = clipped(s[0] + velocity, -1.2, 0.6);
    velocity = (position <= -1.2) & (velocity < 0) ? 0.0 : velocity;
    s[0] = position, s[1] = velocity;
    reward = -1.0;
    terminated = (position >= 0.5) & (velocity >= 0);
  }
};

// gymnasium/envs/classic_control/acrobot.py (after Sutton 1996; the book's variant)
struct Acrobot {
  static constexpr int VARIABLES = 4, FEATURES = 6;
  static inline void observe(const double *s, float *x) {
    double sine, cosine;
    sine_cosine(s[0], sine, cosine);
    x[0] = (float)cosine, x[1] = (float)sine;
    sine_cosine(s[1], sine, cosine);
    x[2] = (float)cosine, x[3] = (float)sine;
    x[4] = (float)s[2], x[5] = (float)s[3];
  }
  // Time derivative of (angle 1, angle 2, spin 1, spin 2); masses, lengths and inertias are 1, centres at 0.5.
  static inline void derivative(const double *s, double torque, double *d) {
    const double gravity = 9.8;
    double sin_1, cos_1, sin_2, cos_2;
    sine_cosine(s[0], sin_1, cos_1);
    sine_cosine(s[1], sin_2, cos_2);
    double d1 = 0.25 + (1.0 + 0.25 + cos_2) + 2.0, d2 = 0.25 + 0.5 * cos_2 + 1.0;
    // cos(x - pi/2) is sin x.
    double phi_2 = 0.5 * gravity * (sin_1 * cos_2 + cos_1 * sin_2);
    double phi_1 = -0.5 * s[3] * s[3] * sin_2 - s[3] * s[2] * sin_2 + 1.5 * gravity * sin_1 + phi_2;
    double up_2 = (torque + d2 / d1 * phi_1 - 0.5 * s[2] * s[2] * sin_2 - phi_2) / (1.25 - d2 * d2 / d1);
    d[0] = s[2], d[1] = s[3], d[2] = -(d2 * up_2 + phi_1) / d1, d[3] = up_2;
  }
  static inline void move(double *s, Action action, double &reward, int64_t &terminated) {
    // One fourth-order Runge-Kutta step of 0.2 s.
    const double h = 0.2;
    double torque = (double)*action.discrete - 1, at[4], k[4][4];
    derivative(s, torque, k[0]);
    for (int i = 0; i < 4; i++) at[i] = s[i] + h / 2 * k[0][i];
    derivative(at, torque, k[1]);
    for (int i = 0; i < 4; i++) at[i] = s[i] + h / 2 * k[1][i];
    derivative(at, torque, k[2]);
    for (int i = 0; i < 4; i++) at[i] = s[i] + h * k[2][i];
    derivative(at, torque, k[3]);
    for (int i = 0; i < 4; i++) s[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
    s[0] = wrapped(s[0]), s[1] = wrapped(s[1]);
    s[2] = clipped(s[2], -4 * PI, 4 * PI), s[3] = clipped(s[3], -9 * PI, 9 * PI);
    double sine, cos_1, cos_both;
    sine_cosine(s[0], sine, cos_1);
    sine_cosine(s[0] + s[1], sine, cos_both);
    terminated = -cos_1 - cos_both > 1.0;
    reward = terminated ? 0.0 : -1.0;
  }
};

// gymnasium/envs/classic_control/pendulum.py
struct Pendulum {
  static constexpr int VARIABLES = 2, FEATURES = 3;
  static inline void observe(const double *s, float *x) {
    double sine, cosine;
    sine_cosine(s[0], sine, cosine);
    x[0] = (float)cosine, x[1] = (float)sine, x[2] = (float)s[1];
  }
  static inline void move(double *s, Action action, double &reward, int64_t &terminated) {
    float force = *action.continuous;  // and what is made of it in single precision, as in gymnasium
    force = force < -2.f ? -2.f : force;
    force = force > 2.f ? 2.f : force;
    double sine, cosine, angle = wrapped(s[0]);
    sine_cosine(s[0], sine, cosine);
    reward = -(angle * angle + 0.1 * (s[1] * s[1]) + (double)(0.001f * (force * force)));
    double spin = s[1] + (3 * 10.0 / 2 * sine + (double)(3.0f * force)) * 0.05;
    spin = clipped(spin, -8.0, 8.0);
    s[0] += spin * 0.05, s[1] = spin;
    terminated = 0;
  }
};

// A finite task with certain moves, as library.py hands it over. Variables: number of the state, steps, last action.
struct Table {
  static constexpr int VARIABLES = 3;
  int64_t FEATURES, own, actions, states;  // what is shown; how much of it is the state's own, before the last action
  const int64_t *next;    // [state][action]
  const double *rewards;  // [state][action]
  const uint8_t *ends;    // [state]
  const float *shown;     // [state][own feature]
  double late, horizon;

  inline void observe(const double *s, float *x) const {
    memcpy(x, shown + (int64_t)s[0] * own, sizeof(float) * own);
    for (int64_t a = 0; a < FEATURES - own; a++) x[own + a] = (double)a == s[2] ? 1.f : 0.f;
  }
  inline void move(double *s, Action action, double &reward, int64_t &terminated) const {
    int64_t at = (int64_t)s[0] * actions + *action.discrete;
    reward = rewards[at];
    s[0] = (double)next[at], s[1] += 1, s[2] = (double)*action.discrete;
    terminated = ends[next[at]];
    if (terminated) reward -= late * s[1] / horizon;
  }
};

}  // namespace engine
