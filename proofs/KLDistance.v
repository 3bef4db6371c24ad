(** Theorem 2': what the policy that is optimal for one weight loses at another, exactly.

    The setting is that of KLBandit.v: finitely many contexts and outcomes, any policy, rewards of single outcomes in
    [0, R_max]. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors Portfolios TiltLoss KLBandit.
Open Scope R_scope.

(** ‖w - w'‖₁ *)
Definition distance (d : nat) (w w' : vector) : R := Σ i < d, Rabs (w i - w' i).

Lemma distance_nonneg d w w' : 0 <= distance d w w'.
Proof. apply sum_nonneg. intros i _. apply Rabs_pos. Qed.

(** Lemma 4. |⟨w - w', r⟩| <= R_max ‖w - w'‖₁ / 2 for r in [0, R_max]^d: as the differences sum to 0, R_max/2 may be
    taken from every reward. *)
Lemma difference_range d w w' g reward_max : simplex d w -> simplex d w' -> (∀ i < d, 0 <= g i <= reward_max) ->
  Rabs (dot d w g - dot d w' g) <= reward_max * distance d w w' / 2.
Proof.
  intros [_ S] [_ S'] Hg.
  assert (E : dot d w g - dot d w' g = Σ i < d, (w i - w' i) * (g i - reward_max / 2)).
  { rewrite (sum_ext d _ (fun i => (w i * g i - w' i * g i) - reward_max / 2 * (w i - w' i))) by (intros; lra).
    rewrite sum_minus, sum_minus, sum_scal, sum_minus, S, S'. unfold dot. lra. }
  assert (Each : ∀ i < d, Rabs ((w i - w' i) * (g i - reward_max / 2)) <= reward_max / 2 * Rabs (w i - w' i)).
  { intros i Hi. rewrite Rabs_mult, Rmult_comm. apply Rmult_le_compat_r; [apply Rabs_pos |].
    apply Rabs_le. specialize (Hg i Hi). lra. }
  rewrite E. apply Rle_trans with (Σ i < d, Rabs ((w i - w' i) * (g i - reward_max / 2))).
  - clear. induction d; simpl; [rewrite Rabs_R0; lra |].
    eapply Rle_trans; [apply Rabs_triang |]. lra.
  - apply sum_le in Each. rewrite sum_scal in Each. unfold distance. lra.
Qed.

Section Loss.
Variables m n d : nat.
Variable D : nat -> R.
Variable reference : nat -> nat -> R.
Variable r : nat -> nat -> vector.
Variable beta : R.
Hypothesis contexts : simplex m D.
Hypothesis reference_positive : ∀ x < m, positive_law n (reference x).
Hypothesis beta_pos : 0 < beta.
Variable reward_max : R.
Hypothesis reward_range : ∀ x < m, ∀ y < n, ∀ i < d, 0 <= r x y i <= reward_max.

Notation J := (value d (kl_bandit m n D reference r beta)).
Notation Jstar := (kl_optimum m n d D reference r beta).
Notation optimal := (optimal_policy m n d D reference r beta reference_positive).

Lemma reward_max_nonneg w : simplex d w -> 0 <= reward_max.
Proof.
  intros Hw. pose proof (simplex_nonempty m D contexts) as M. destruct (reference_positive 0%nat M) as [T _].
  pose proof (reward_range 0%nat M 0%nat (simplex_nonempty n _ T) 0%nat (simplex_nonempty d w Hw)). lra.
Qed.

(** Theorem 2'. For all w, w' in the simplex

      J*_w - J_w(π*_{w'}) <= β Ψ(R_max ‖w - w'‖₁ / β),   Ψ(l) = ln((e^l - 1)/l) - 1 + l/(e^l - 1), Ψ(0) = 0.  *)
Theorem loss_le_Psi : forall w w', simplex d w -> simplex d w' ->
  Jstar w - J w (optimal w') <= beta * Psi (reward_max * distance d w w' / beta).
Proof.
  intros w w' Hw Hw'. rewrite loss_of_optimal_policy by assumption.
  apply Rmult_le_compat_l; [lra |]. apply average_le; [assumption |]. intros x Hx.
  set (l := reward_max * distance d w w' / beta).
  assert (Range : ∀ y < n, - l / 2 <= utility d r beta w x y - utility d r beta w' x y <= - l / 2 + l).
  { intros y Hy. pose proof (difference_range d w w' (r x y) reward_max Hw Hw' (reward_range x Hx y Hy)) as A.
    set (h := dot d w (r x y) - dot d w' (r x y)) in *.
    assert (B : - (reward_max * distance d w w' / 2) <= h <= reward_max * distance d w w' / 2).
    { pose proof (Rle_abs h). pose proof (Rle_abs (- h)) as N. rewrite Rabs_Ropp in N. lra. }
    assert (I : 0 < / beta) by (apply Rinv_0_lt_compat; assumption).
    replace (utility d r beta w x y - utility d r beta w' x y) with (/ beta * h)
      by (unfold h, utility, Rdiv; ring).
    replace (- l / 2) with (/ beta * - (reward_max * distance d w w' / 2)) by (unfold l; field; lra).
    replace (/ beta * - (reward_max * distance d w w' / 2) + l) with (/ beta * (reward_max * distance d w w' / 2))
      by (unfold l; field; lra).
    split; apply Rmult_le_compat_l; lra. }
  assert (L : 0 <= l).
  { destruct (tilt_positive n (reference x) (utility d r beta w' x) (reference_positive x Hx)) as [T _].
    pose proof (Range 0%nat (simplex_nonempty n _ T)). lra. }
  apply log_mean_exp_le with (a := - l / 2); [| assumption | assumption].
  apply tilt_positive, reference_positive. assumption.
Qed.

(** So a policy solved within ρ of w loses at most β Ψ(R_max ρ / β) there, and weights that leave no w farther away than ρ
    give a (0, β Ψ(R_max ρ / β))-portfolio. *)
Theorem loss_within_radius : forall w w' rho, simplex d w -> simplex d w' -> distance d w w' <= rho ->
  Jstar w - J w (optimal w') <= beta * Psi (reward_max * rho / beta).
Proof.
  intros w w' rho Hw Hw' Near. eapply Rle_trans; [apply loss_le_Psi; assumption |].
  apply Rmult_le_compat_l; [lra |]. apply Psi_increasing.
  pose proof (distance_nonneg d w w'). pose proof (reward_max_nonneg w Hw).
  assert (0 < / beta) by (apply Rinv_0_lt_compat; lra).
  unfold Rdiv. split; [apply Rmult_le_pos; [apply Rmult_le_pos |]; lra |].
  apply Rmult_le_compat_r; [lra |]. apply Rmult_le_compat_l; assumption.
Qed.

(** Theorem 2. J*_w - J_w(π*_{w'}) <= R_max² ‖w - w'‖₁² / (8 β), and also at most R_max ‖w - w'‖₁. *)
Theorem loss_le_square : forall w w', simplex d w -> simplex d w' ->
  Jstar w - J w (optimal w') <= reward_max * reward_max * (distance d w w' * distance d w w') / (8 * beta) /\
  Jstar w - J w (optimal w') <= reward_max * distance d w w'.
Proof.
  intros w w' Hw Hw'. pose proof (loss_le_Psi w w' Hw Hw') as Loss.
  set (l := reward_max * distance d w w' / beta) in *.
  assert (L : 0 <= l).
  { pose proof (reward_max_nonneg w Hw).
    apply Rmult_le_pos; [apply Rmult_le_pos; [assumption | apply distance_nonneg] |].
    apply Rlt_le, Rinv_0_lt_compat. assumption. }
  destruct (Psi_le l L) as [Square Linear].
  apply Rmult_le_compat_l with (r := beta) in Square; [| lra].
  apply Rmult_le_compat_l with (r := beta) in Linear; [| lra].
  replace (beta * (l * l / 8))
    with (reward_max * reward_max * (distance d w w' * distance d w w') / (8 * beta)) in Square
    by (unfold l; field; lra).
  replace (beta * l) with (reward_max * distance d w w') in Linear by (unfold l; field; lra).
  split; lra.
Qed.
End Loss.

(** * Theorem 2' is attained *)

Section Attained.
Variable d : nat.
Variables w w' : vector.
Hypothesis w_simplex : simplex d w.
Hypothesis w'_simplex : simplex d w'.
Variables reward_max beta : R.
Hypothesis reward_max_pos : 0 < reward_max.
Hypothesis beta_pos : 0 < beta.
Hypothesis apart : 0 < distance d w w'.

Notation l := (reward_max * distance d w w' / beta).

(** Outcome 0 earns R_max in the objectives with w_i > w'_i, outcome 1 in those with w_i < w'_i, and nothing else. *)
Definition two_rewards (y : nat) : vector := fun i =>
  match y with
  | O => if Rlt_dec (w' i) (w i) then reward_max else 0
  | _ => if Rlt_dec (w i) (w' i) then reward_max else 0
  end.

Lemma two_rewards_range y i : 0 <= two_rewards y i <= reward_max.
Proof. unfold two_rewards. destruct y; destruct Rlt_dec; lra. Qed.

Lemma difference_attained :
  dot d w (two_rewards 0) - dot d w' (two_rewards 0) = reward_max * distance d w w' / 2 /\
  dot d w (two_rewards 1) - dot d w' (two_rewards 1) = - (reward_max * distance d w w' / 2).
Proof.
  assert (Shift : forall y, dot d w (two_rewards y) - dot d w' (two_rewards y) =
            Σ i < d, ((w i - w' i) * two_rewards y i - reward_max / 2 * (w i - w' i))).
  { intros y. rewrite sum_minus, sum_scal, sum_minus. destruct w_simplex as [_ ->]. destruct w'_simplex as [_ ->].
    unfold dot. rewrite <- sum_minus. replace (1 - 1) with 0 by lra. rewrite Rmult_0_r, Rminus_0_r.
    apply sum_ext. intros. lra. }
  rewrite !Shift. unfold distance. split.
  - rewrite (sum_ext d _ (fun i => reward_max / 2 * Rabs (w i - w' i))).
    + rewrite sum_scal. lra.
    + intros i _. unfold two_rewards, Rabs. destruct Rlt_dec; destruct Rcase_abs; try lra.
      replace (w i) with (w' i) by lra. lra.
  - rewrite (sum_ext d _ (fun i => - (reward_max / 2) * Rabs (w i - w' i))).
    + rewrite sum_scal. lra.
    + intros i _. unfold two_rewards, Rabs. destruct Rlt_dec; destruct Rcase_abs; lra.
Qed.

(** The law that the optimal policy of w' shall have, and the reference that gives it. *)
Definition target (y : nat) : R := match y with O => best_p l | _ => 1 - best_p l end.
Definition two_utilities (y : nat) : R := dot d w' (two_rewards y) / beta.
Definition two_reference : nat -> R := tilt 2 target (fun y => - two_utilities y).

Lemma l_pos : 0 < l.
Proof. apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat |]; assumption. Qed.

Lemma target_positive : positive_law 2 target.
Proof.
  pose proof (best_p_range l l_pos) as B. split; [split |].
  - intros [| y] _; simpl; lra.
  - simpl. lra.
  - intros [| y] _; simpl; lra.
Qed.

Lemma optimal_is_target y : tilt 2 two_reference two_utilities y = target y.
Proof.
  pose proof (partition_pos 2 target (fun y => - two_utilities y) target_positive) as Z.
  unfold tilt at 1. unfold partition at 1.
  assert (Back : forall y,
    two_reference y * exp (two_utilities y) = target y / partition 2 target (fun y => - two_utilities y)).
  { intros z. unfold two_reference, tilt. rewrite exp_Ropp. pose proof (exp_pos (two_utilities z)). field. split; lra. }
  rewrite (sum_ext 2 _ (fun y => / partition 2 target (fun y => - two_utilities y) * target y)).
  - rewrite sum_scal. destruct target_positive as [[_ ->] _]. rewrite Back. field. lra.
  - intros z _. rewrite Back. unfold Rdiv. ring.
Qed.

(** For every w and w' that differ, every R_max > 0 and β > 0, there is an instance with one context and two outcomes,
    all its rewards in [0, R_max], at which the policy optimal for w' loses exactly β Ψ(R_max ‖w - w'‖₁ / β) at w. *)
Theorem loss_attains_Psi : exists (D : nat -> R) (reference : nat -> nat -> R) (r : nat -> nat -> vector)
  (positive : ∀ x < 1, positive_law 2 (reference x)),
  simplex 1 D /\ (forall x y i, 0 <= r x y i <= reward_max) /\
  kl_optimum 1 2 d D reference r beta w
    - value d (kl_bandit 1 2 D reference r beta) w (optimal_policy 1 2 d D reference r beta positive w')
  = beta * Psi (reward_max * distance d w w' / beta).
Proof.
  exists (fun _ => 1), (fun _ => two_reference), (fun _ => two_rewards),
    (fun _ _ => tilt_positive 2 target _ target_positive).
  assert (One : simplex 1 (fun _ => 1)) by (split; [intros; lra | simpl; lra]).
  repeat split; try apply One; try apply two_rewards_range.
  rewrite loss_of_optimal_policy by assumption. f_equal.
  change (Σ x < 1, 1 * (ln (Σ y < 2, tilt 2 two_reference two_utilities y *
             exp (utility d (fun _ => two_rewards) beta w x y - utility d (fun _ => two_rewards) beta w' x y))
           - Σ y < 2, tilt 2 two_reference two_utilities y *
             (utility d (fun _ => two_rewards) beta w x y - utility d (fun _ => two_rewards) beta w' x y)) = Psi l).
  destruct difference_attained as [Up Down].
  assert (H : forall x y, utility d (fun _ => two_rewards) beta w x y - utility d (fun _ => two_rewards) beta w' x y =
            (dot d w (two_rewards y) - dot d w' (two_rewards y)) / beta).
  { intros x y. unfold utility, Rdiv. ring. }
  simpl sum. rewrite !H, !optimal_is_target, Up, Down. unfold target.
  pose proof l_pos as L. pose proof (best_p_range l L) as B. rewrite <- (two_point_best l L). unfold two_point.
  replace (reward_max * distance d w w' / 2 / beta) with (l / 2) by (field; lra).
  replace (- (reward_max * distance d w w' / 2) / beta) with (- (l / 2)) by (field; lra).
  set (p := best_p l) in *. set (t := l) in *.
  replace (0 + p * exp (t / 2) + (1 - p) * exp (- (t / 2))) with (exp (- (t / 2)) * (1 - p + p * exp t)).
  - rewrite ln_mult, ln_exp by (apply exp_pos || apply mixture_pos; lra). lra.
  - replace t with (t / 2 + t / 2) at 2 by lra. rewrite exp_plus, exp_Ropp. pose proof (exp_pos (t / 2)). field. lra.
Qed.
End Attained.

Print Assumptions loss_le_Psi.
Print Assumptions loss_within_radius.
Print Assumptions loss_le_square.
Print Assumptions loss_attains_Psi.
