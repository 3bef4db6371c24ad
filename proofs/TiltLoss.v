(** The function Ψ of Theorem 2', and the lemma that gives rise to it: how large ln E exp(h - E h) can be for a
    variable h in an interval of length l. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors.
Open Scope R_scope.

(** Ψ(l) = ln((e^l - 1)/l) - 1 + l/(e^l - 1), and Ψ(0) = 0 *)
Definition Psi (l : R) : R := if Req_EM_T l 0 then 0 else ln ((exp l - 1) / l) - 1 + l / (exp l - 1).

(** For a variable that takes only the ends of an interval of length l, the upper one with probability p. *)
Definition two_point (l p : R) : R := ln (1 - p + p * exp l) - p * l.

Lemma one_plus_le_exp x : 1 + x <= exp x.
Proof.
  destruct (Req_dec x 0) as [-> | N]; [rewrite exp_0; lra | apply Rlt_le, exp_ineq1; assumption].
Qed.

Lemma exp_gt_1 l : 0 < l -> l < exp l - 1.
Proof. intros H. pose proof (exp_ineq1 l). lra. Qed.

Lemma ln_tangent x y : 0 < x -> 0 < y -> ln x <= ln y + (x - y) / y.
Proof.
  intros Hx Hy. pose proof (one_plus_le_exp (ln (x / y))) as H.
  rewrite exp_ln in H by (apply Rdiv_lt_0_compat; assumption).
  unfold Rdiv in H at 1. rewrite ln_mult, ln_Rinv in H by (assumption || apply Rinv_0_lt_compat; assumption).
  replace ((x - y) / y) with (x / y - 1) by (field; lra). lra.
Qed.

Lemma mixture_pos l p : 0 <= p <= 1 -> 0 < 1 - p + p * exp l.
Proof.
  intros Hp. pose proof (exp_pos l). destruct (Req_dec p 0) as [-> | N]; [lra |].
  assert (0 < p * exp l) by (apply Rmult_lt_0_compat; lra). lra.
Qed.

(** * Ψ is the largest value of two_point *)

Lemma two_point_le_Psi l p : 0 < l -> 0 <= p <= 1 -> two_point l p <= Psi l.
Proof.
  intros Hl Hp. pose proof (exp_gt_1 l Hl) as E. unfold Psi, two_point. destruct (Req_EM_T l 0); [lra |].
  assert (Y : 0 < (exp l - 1) / l) by (apply Rdiv_lt_0_compat; lra).
  (* the tangent of ln at (e^l - 1)/l; p cancels *)
  pose proof (ln_tangent (1 - p + p * exp l) ((exp l - 1) / l) (mixture_pos l p Hp) Y) as T.
  replace ((1 - p + p * exp l - (exp l - 1) / l) / ((exp l - 1) / l)) with (l / (exp l - 1) + p * l - 1) in T
    by (field; split; lra).
  lra.
Qed.

(** The p at which it is attained: 1/l - 1/(e^l - 1). *)
Definition best_p (l : R) : R := / l - / (exp l - 1).

Lemma best_p_range l : 0 < l -> 0 < best_p l < 1.
Proof.
  intros Hl. pose proof (exp_gt_1 l Hl) as E. unfold best_p. split.
  - assert (/ (exp l - 1) < / l) by (apply Rinv_lt_contravar; [nra | assumption]). lra.
  - (* 1 - e^(-l) < l *)
    assert (F : exp l - 1 < l * exp l).
    { pose proof (exp_ineq1 (- l)) as N.
      assert (P : exp l * exp (- l) = 1) by (rewrite <- exp_plus, Rplus_opp_r, exp_0; lra).
      assert (exp l * (1 + - l) < exp l * exp (- l)) by (apply Rmult_lt_compat_l; [apply exp_pos | lra]). lra. }
    apply Rmult_lt_reg_r with (l * (exp l - 1)); [nra |].
    replace ((/ l - / (exp l - 1)) * (l * (exp l - 1))) with (exp l - 1 - l) by (field; split; lra). nra.
Qed.

Lemma two_point_best l : 0 < l -> two_point l (best_p l) = Psi l.
Proof.
  intros Hl. pose proof (exp_gt_1 l Hl) as E. unfold Psi, two_point, best_p. destruct (Req_EM_T l 0); [lra |].
  replace (1 - (/ l - / (exp l - 1)) + (/ l - / (exp l - 1)) * exp l) with ((exp l - 1) / l) by (field; split; lra).
  replace ((/ l - / (exp l - 1)) * l) with (1 - l / (exp l - 1)) by (field; split; lra). lra.
Qed.

(** * Bounds of Ψ *)

(** Hoeffding's lemma for two points. The derivative of l²/8 - two_point l p is l/4 + p - s, where s = p e^l / (1 - p
    + p e^l), and the derivative of that is 1/4 - s(1-s) >= 0; both are 0 at l = 0. *)
Lemma two_point_le_square l p : 0 <= l -> 0 <= p <= 1 -> two_point l p <= l * l / 8.
Proof.
  intros Hl Hp. destruct (Req_dec l 0) as [-> | N].
  { unfold two_point. rewrite exp_0. replace (1 - p + p * 1) with 1 by ring. rewrite ln_1. lra. }
  set (s := fun t => p * exp t / (1 - p + p * exp t)).
  set (g := fun t => t * t / 8 + p * t - ln (1 - p + p * exp t)).
  set (g' := fun t => t / 4 + p - s t).
  assert (Dm : forall t, derivable_pt_lim (fun t => 1 - p + p * exp t) t (p * exp t)).
  { intros t. replace (p * exp t) with (0 + p * exp t) by ring. apply derivable_pt_lim_plus with (f1 := fun _ => 1 - p).
    - apply derivable_pt_lim_const.
    - apply derivable_pt_lim_scal. apply derivable_pt_lim_exp. }
  assert (Dg : forall t, derivable_pt_lim g t (g' t)).
  { intros t. unfold g, g'. replace (t / 4 + p - s t) with ((2 * t / 8 + p * 1) - s t) by field.
    apply derivable_pt_lim_minus with (f1 := fun t => t * t / 8 + p * t).
    - apply derivable_pt_lim_plus.
      + replace (2 * t / 8) with (/ 8 * (1 * t + t * 1)) by field.
        apply (derivable_pt_lim_ext (fun x => / 8 * (x * x))); [intros x; field |].
        apply derivable_pt_lim_scal. apply (derivable_pt_lim_mult id id); apply derivable_pt_lim_id.
      + apply derivable_pt_lim_scal. apply derivable_pt_lim_id.
    - unfold s.
      replace (p * exp t / (1 - p + p * exp t)) with (/ (1 - p + p * exp t) * (p * exp t)) by (unfold Rdiv; ring).
      apply (derivable_pt_lim_comp (fun t => 1 - p + p * exp t) ln); [apply Dm |].
      apply derivable_pt_lim_ln. apply mixture_pos. assumption. }
  assert (Ds : forall t, derivable_pt_lim g' t (/ 4 - s t * (1 - s t))).
  { intros t. pose proof (mixture_pos t p Hp) as M. unfold g'.
    replace (/ 4 - s t * (1 - s t)) with ((/ 4 * 1 + 0) - s t * (1 - s t)) by ring.
    apply derivable_pt_lim_minus with (f1 := fun t => t / 4 + p).
    - apply derivable_pt_lim_plus; [| apply derivable_pt_lim_const].
      apply (derivable_pt_lim_ext (fun x => / 4 * x)); [intros x; field |].
      apply derivable_pt_lim_scal. apply derivable_pt_lim_id.
    - replace (s t * (1 - s t))
        with ((p * exp t * (1 - p + p * exp t) - p * exp t * (p * exp t)) / Rsqr (1 - p + p * exp t))
        by (unfold s, Rsqr; field; lra).
      apply (derivable_pt_lim_div (fun t => p * exp t) (fun t => 1 - p + p * exp t)); [| apply Dm | lra].
      apply derivable_pt_lim_scal. apply derivable_pt_lim_exp. }
  assert (G'0 : g' 0 = 0).
  { unfold g', s. rewrite exp_0. field. lra. }
  assert (G0 : g 0 = 0).
  { unfold g. rewrite exp_0. replace (1 - p + p * 1) with 1 by ring. rewrite ln_1. field. }
  destruct (MVT_cor2 g g' 0 l) as (c & Ec & Hc); [lra | intros; apply Dg |].
  destruct (MVT_cor2 g' (fun t => / 4 - s t * (1 - s t)) 0 c) as (b & Eb & Hb); [lra | intros; apply Ds |].
  assert (0 <= / 4 - s b * (1 - s b)) by (pose proof (Rle_0_sqr (s b - / 2)); unfold Rsqr in *; lra).
  assert (0 <= g' c) by nra. assert (0 <= g l) by nra.
  unfold two_point, g in *. lra.
Qed.

(** Ψ(l) <= l²/8 and Ψ(l) <= l for l >= 0. *)
Theorem Psi_le : forall l, 0 <= l -> Psi l <= l * l / 8 /\ Psi l <= l.
Proof.
  intros l Hl. destruct (Req_dec l 0) as [-> | N].
  { unfold Psi. destruct (Req_EM_T 0 0); lra. }
  assert (P : 0 < l) by lra. pose proof (best_p_range l P) as B. rewrite <- two_point_best by assumption. split.
  - apply two_point_le_square; lra.
  - unfold two_point. pose proof (exp_gt_1 l P) as E.
    assert (M : ln (1 - best_p l + best_p l * exp l) <= ln (exp l)).
    { apply Rlt_le, ln_increasing; [apply mixture_pos; lra | nra]. }
    rewrite ln_exp in M. nra.
Qed.

(** * The lemma *)

(** exp lies below its chord. *)
Lemma exp_chord l x : 0 <= x <= 1 -> exp (x * l) <= 1 - x + x * exp l.
Proof.
  intros Hx.
  assert (At0 : exp (x * l) * (1 + - (x * l)) <= 1).
  { rewrite <- exp_0. replace 0 with (x * l + - (x * l)) at 2 by ring. rewrite exp_plus.
    apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | rewrite exp_0; apply one_plus_le_exp]. }
  assert (At1 : exp (x * l) * (1 + (l - x * l)) <= exp l).
  { replace l with (x * l + (l - x * l)) at 4 by ring. rewrite exp_plus.
    apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | apply one_plus_le_exp]. }
  nra.
Qed.

(** If a law p on n points and a variable h with values in [a, a+l] are given, then ln E e^h - E h <= Ψ(l). *)
Theorem log_mean_exp_le : forall n p h a l, simplex n p -> 0 <= l -> (∀ y < n, a <= h y <= a + l) ->
  ln (Σ y < n, p y * exp (h y)) - (Σ y < n, p y * h y) <= Psi l.
Proof.
  intros n p h a l Hp Hl Hh. destruct Hp as [Nonneg Total].
  destruct (Req_dec l 0) as [-> | N].
  - rewrite (sum_ext n _ (fun y => p y * exp a)), (sum_ext n (fun y => p y * h y) (fun y => p y * a)).
    + rewrite !sum_scal_r, Total, !Rmult_1_l, ln_exp. unfold Psi. destruct (Req_EM_T 0 0); lra.
    + intros y Hy. replace (h y) with a; [reflexivity |]. specialize (Hh y Hy). lra.
    + intros y Hy. replace (h y) with a; [reflexivity |]. specialize (Hh y Hy). lra.
  - assert (P : 0 < l) by lra.
    set (x := fun y => (h y - a) / l).
    assert (Ex : forall y, h y = a + x y * l) by (intros y; unfold x; field; lra).
    assert (Hx : ∀ y < n, 0 <= x y <= 1).
    { intros y Hy. specialize (Hh y Hy). rewrite Ex in Hh. split; nra. }
    set (m := Σ y < n, p y * x y).
    assert (Hm : 0 <= m <= 1).
    { split.
      - apply sum_nonneg. intros y Hy. apply Rmult_le_pos; [auto | apply Hx; assumption].
      - apply average_le; [split; assumption |]. intros y Hy. apply Hx. assumption. }
    assert (Mean : (Σ y < n, p y * h y) = a + m * l).
    { rewrite (sum_ext n _ (fun y => p y * a + p y * x y * l)) by (intros y _; rewrite Ex; ring).
      rewrite sum_plus, !sum_scal_r, Total. fold m. lra. }
    assert (Chord : (Σ y < n, p y * exp (h y)) <= exp a * (1 - m + m * exp l)).
    { apply Rle_trans with (Σ y < n, exp a * (p y + (exp l - 1) * (p y * x y))).
      - apply sum_le. intros y Hy. pose proof (exp_chord l (x y) (Hx y Hy)) as C. rewrite Ex, exp_plus.
        specialize (Nonneg y Hy).
        apply Rle_trans with (p y * (exp a * (1 - x y + x y * exp l))); [| right; ring].
        apply Rmult_le_compat_l; [assumption |]. apply Rmult_le_compat_l; [apply Rlt_le, exp_pos | assumption].
      - right. rewrite sum_scal, sum_plus, sum_scal, Total. fold m. ring. }
    assert (Pos : 0 < Σ y < n, p y * exp (h y)).
    { apply Rlt_le_trans with (Σ y < n, p y * exp a).
      - rewrite sum_scal_r, Total. pose proof (exp_pos a). lra.
      - apply sum_le. intros y Hy. apply Rmult_le_compat_l; [auto |].
        destruct (Req_dec (h y) a) as [-> | Ne]; [lra |]. apply Rlt_le, exp_increasing. specialize (Hh y Hy). lra. }
    assert (Ln : ln (Σ y < n, p y * exp (h y)) <= a + ln (1 - m + m * exp l)).
    { rewrite <- (ln_exp a) at 1. rewrite <- ln_mult by (apply exp_pos || apply mixture_pos; assumption).
      destruct (Req_dec (Σ y < n, p y * exp (h y)) (exp a * (1 - m + m * exp l))) as [-> | Ne]; [lra |].
      apply Rlt_le, ln_increasing; lra. }
    pose proof (two_point_le_Psi l m P Hm) as T. unfold two_point in T. lra.
Qed.

(** Ψ does not fall: a variable on two points at a distance l lies in an interval of any length l' >= l. *)
Theorem Psi_increasing : forall l l', 0 <= l <= l' -> Psi l <= Psi l'.
Proof.
  intros l l' Hl. destruct (Req_dec l 0) as [-> | N].
  - pose proof (log_mean_exp_le 1 (fun _ => 1) (fun _ => 0) 0 l') as H. simpl in H.
    rewrite exp_0 in H. replace (0 + 1 * 1) with 1 in H by ring. rewrite ln_1 in H.
    unfold Psi at 1. destruct (Req_EM_T 0 0); [| lra].
    enough (0 - (0 + 1 * 0) <= Psi l') by lra.
    apply H; [split; [intros; lra | simpl; lra] | lra | intros; lra].
  - assert (P : 0 < l) by lra. pose proof (best_p_range l P) as B.
    rewrite <- (two_point_best l P). unfold two_point. set (p := best_p l) in *.
    pose proof (log_mean_exp_le 2 (fun y => match y with O => 1 - p | _ => p end)
                  (fun y => match y with O => 0 | _ => l end) 0 l') as H.
    simpl in H. rewrite exp_0 in H. replace (0 + (1 - p) * 1 + p * exp l) with (1 - p + p * exp l) in H by ring.
    replace (0 + (1 - p) * 0 + p * l) with (p * l) in H by ring.
    apply H; [split; [intros [| y] _; lra | simpl; lra] | lra | intros [| y] _; lra].
Qed.

Print Assumptions Psi_le.
Print Assumptions log_mean_exp_le.
Print Assumptions Psi_increasing.
