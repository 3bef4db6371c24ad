(** KL-regularised policies with finitely many contexts and outcomes: the optimum in closed form, and what is lost
    elsewhere.

    A context x < m is drawn with probability D_x; the policy draws an outcome y < n with probability π(y|x). The
    class of policies is unrestricted. The reference gives every outcome a positive probability: an outcome that it
    never says would cost an infinite KL, and is left out. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors Portfolios.
Open Scope R_scope.

(** KL(p ‖ q) = Σ_y p_y ln(p_y/q_y); a term with p_y = 0 is 0. *)
Definition KL (n : nat) (p q : nat -> R) : R := Σ y < n, p y * ln (p y / q y).

(** p_y e^(u_y) / Σ_z p_z e^(u_z) *)
Definition partition (n : nat) (p u : nat -> R) : R := Σ y < n, p y * exp (u y).
Definition tilt (n : nat) (p u : nat -> R) : nat -> R := fun y => p y * exp (u y) / partition n p u.

(** A law that gives every outcome a positive probability. *)
Definition positive_law (n : nat) (q : nat -> R) : Prop := simplex n q /\ ∀ y < n, 0 < q y.

(** * One context *)

Lemma partition_pos n q u : positive_law n q -> 0 < partition n q u.
Proof.
  intros [Hq Pos]. apply sum_pos; [apply (simplex_nonempty n q Hq) |].
  intros y Hy. apply Rmult_lt_0_compat; [auto | apply exp_pos].
Qed.

Lemma tilt_positive n q u : positive_law n q -> positive_law n (tilt n q u).
Proof.
  intros Hq. pose proof (partition_pos n q u Hq) as Z.
  assert (Pos : ∀ y < n, 0 < tilt n q u y).
  { intros y Hy. unfold tilt. apply Rdiv_lt_0_compat; [| assumption].
    apply Rmult_lt_0_compat; [apply Hq; assumption | apply exp_pos]. }
  split; [split |].
  - intros y Hy. apply Rlt_le. auto.
  - unfold tilt, Rdiv. rewrite sum_scal_r. fold (partition n q u). field. lra.
  - assumption.
Qed.

Lemma ln_quotient x y : 0 < x -> 0 < y -> ln (x / y) = ln x - ln y.
Proof. intros Hx Hy. unfold Rdiv. rewrite ln_mult, ln_Rinv; auto using Rinv_0_lt_compat. Qed.

(** Gibbs' inequality: KL(p ‖ q) >= 0. *)
Lemma KL_nonneg n p q : simplex n p -> positive_law n q -> 0 <= KL n p q.
Proof.
  intros [Np Sp] [[_ Sq] Pq]. apply Rle_trans with (Σ y < n, (p y - q y)); [rewrite sum_minus; lra |].
  apply sum_le. intros y Hy. specialize (Np y Hy). specialize (Pq y Hy).
  destruct (Req_dec (p y) 0) as [-> | N]; [lra |]. assert (P : 0 < p y) by lra.
  (* ln(q/p) <= q/p - 1 *)
  assert (T : 1 + ln (q y / p y) <= q y / p y).
  { rewrite <- (exp_ln (q y / p y)) at 2 by (apply Rdiv_lt_0_compat; assumption).
    destruct (Req_dec (ln (q y / p y)) 0) as [-> | Ne]; [rewrite exp_0; lra | apply Rlt_le, exp_ineq1; assumption]. }
  rewrite ln_quotient in T by assumption. rewrite ln_quotient by assumption.
  apply Rmult_le_compat_l with (r := p y) in T; [| lra].
  replace (p y * (q y / p y)) with (q y) in T by (field; lra). lra.
Qed.

Lemma KL_self n p : KL n p p = 0.
Proof.
  unfold KL. rewrite (sum_ext n _ (fun _ => 0)), sum_const; [lra |].
  intros y _. destruct (Req_dec (p y) 0) as [-> | N]; [lra |].
  replace (p y / p y) with 1 by (field; assumption). rewrite ln_1. lra.
Qed.

(** Σ_y p_y u_y - KL(p ‖ q) = ln Z - KL(p ‖ tilt of q by u), with Z = Σ_y q_y e^(u_y) *)
Lemma KL_tilt n p q u : simplex n p -> positive_law n q ->
  (Σ y < n, p y * u y) - KL n p q = ln (partition n q u) - KL n p (tilt n q u).
Proof.
  intros [Np Sp] Hq. pose proof (partition_pos n q u Hq) as Z. destruct Hq as [_ Pq].
  enough (KL n p (tilt n q u) = KL n p q - (Σ y < n, p y * u y) + ln (partition n q u)) by lra.
  assert (Sln : ln (partition n q u) = Σ y < n, p y * ln (partition n q u)) by (rewrite sum_scal_r, Sp; lra).
  rewrite Sln. unfold KL. rewrite <- sum_minus, <- sum_plus. apply sum_ext. intros y Hy.
  specialize (Np y Hy). specialize (Pq y Hy). destruct (Req_dec (p y) 0) as [-> | N]; [lra |].
  pose proof (exp_pos (u y)). unfold tilt.
  rewrite !ln_quotient, ln_mult, ln_exp; try lra;
    try (apply Rdiv_lt_0_compat); try assumption; try (apply Rmult_lt_0_compat; lra).
Qed.

(** Two tilts of one law: E_{tilt by u'} e^(u - u') is the quotient of the partition sums. *)
Lemma partition_quotient n q u u' : positive_law n q ->
  (Σ y < n, tilt n q u' y * exp (u y - u' y)) = partition n q u / partition n q u'.
Proof.
  intros Hq. pose proof (partition_pos n q u' Hq) as Z. unfold Rdiv. unfold partition at 1. rewrite <- sum_scal_r.
  apply sum_ext. intros y _. unfold tilt, Rdiv. unfold Rminus. rewrite exp_plus, exp_Ropp.
  pose proof (exp_pos (u' y)). field. split; lra.
Qed.

(** * The problem *)

Section Bandit.
Variables m n d : nat.
Variable D : nat -> R.                     (* the law of contexts *)
Variable reference : nat -> nat -> R.      (* π_ref(y|x) *)
Variable r : nat -> nat -> vector.         (* r(x, y) *)
Variable beta : R.
Hypothesis contexts : simplex m D.
Hypothesis reference_positive : ∀ x < m, positive_law n (reference x).
Hypothesis beta_pos : 0 < beta.

Definition is_policy (pi : nat -> nat -> R) : Prop := ∀ x < m, simplex n (pi x).

(** R_i(π) = E_x E_y r_i(x, y) and f(π) = β E_x KL(π(·|x) ‖ π_ref(·|x)), over all policies. *)
Definition kl_bandit : problem := {|
  policy := { pi : nat -> nat -> R | is_policy pi };
  reward := fun pi i => Σ x < m, D x * Σ y < n, proj1_sig pi x y * r x y i;
  regulariser := fun pi => beta * Σ x < m, D x * KL n (proj1_sig pi x) (reference x)
|}.

Notation J := (value d kl_bandit).

(** ⟨w, r(x,y)⟩ / β *)
Definition utility (w : vector) (x y : nat) : R := dot d w (r x y) / beta.

(** π*_w(y|x) = π_ref(y|x) exp(⟨w, r(x,y)⟩/β) / Z_w(x) *)
Definition optimal_policy (w : vector) : policy kl_bandit :=
  exist is_policy (fun x => tilt n (reference x) (utility w x))
    (fun x Hx => proj1 (tilt_positive n (reference x) (utility w x) (reference_positive x Hx))).

(** J*_w = β E_x ln Z_w(x), with Z_w(x) = E_{y ~ π_ref} exp(⟨w, r(x,y)⟩/β) *)
Definition kl_optimum (w : vector) : R := beta * Σ x < m, D x * ln (partition n (reference x) (utility w x)).

Lemma value_expanded w pi :
  J w pi = beta * Σ x < m, D x * ((Σ y < n, proj1_sig pi x y * utility w x y) - KL n (proj1_sig pi x) (reference x)).
Proof.
  unfold value. cbn [reward regulariser kl_bandit].
  rewrite (sum_ext m
             (fun x => D x * ((Σ y < n, proj1_sig pi x y * utility w x y) - KL n (proj1_sig pi x) (reference x)))
             (fun x => D x * (Σ y < n, proj1_sig pi x y * utility w x y) - D x * KL n (proj1_sig pi x) (reference x)))
    by (intros; lra).
  rewrite sum_minus, Rmult_minus_distr_l. f_equal.
  rewrite dot_combination_r, <- sum_scal. apply sum_ext. intros x _.
  rewrite dot_combination_r. rewrite (sum_ext n (fun y => proj1_sig pi x y * utility w x y)
    (fun y => / beta * (proj1_sig pi x y * dot d w (r x y)))) by (intros; unfold utility, Rdiv; ring).
  rewrite sum_scal. field. lra.
Qed.

(** Lemma 1. For every w and every policy, J_w(π) = β E_x ln Z_w(x) - β E_x KL(π(·|x) ‖ π*_w(·|x)). *)
Theorem gap_is_divergence : forall w pi,
  kl_optimum w - J w pi = beta * Σ x < m, D x * KL n (proj1_sig pi x) (proj1_sig (optimal_policy w) x).
Proof.
  intros w pi. rewrite value_expanded. unfold kl_optimum. rewrite <- Rmult_minus_distr_l, <- sum_minus. f_equal.
  apply sum_ext. intros x Hx. cbn [proj1_sig optimal_policy].
  rewrite (KL_tilt n (proj1_sig pi x) (reference x) (utility w x))
    by (apply (proj2_sig pi) || apply reference_positive; assumption).
  lra.
Qed.

Lemma optimal_value w : J w (optimal_policy w) = kl_optimum w.
Proof.
  enough (kl_optimum w - J w (optimal_policy w) = 0) by lra. rewrite gap_is_divergence.
  rewrite (sum_ext m _ (fun _ => 0)), sum_const; [lra |]. intros x _. rewrite KL_self. lra.
Qed.

(** So J* is β E_x ln Z_w(x), and π*_w attains it. *)
Theorem kl_optimum_is_optimum : is_optimum d kl_bandit kl_optimum /\ forall w, J w (optimal_policy w) = kl_optimum w.
Proof.
  split; [| apply optimal_value]. intros w _. split.
  - intros v [pi ->]. enough (0 <= kl_optimum w - J w pi) by lra. rewrite gap_is_divergence.
    apply Rmult_le_pos; [lra |]. apply sum_nonneg. intros x Hx. apply Rmult_le_pos; [apply contexts; assumption |].
    apply KL_nonneg; [apply (proj2_sig pi); assumption | apply tilt_positive, reference_positive; assumption].
  - intros b Hb. rewrite <- optimal_value. apply Hb. exists (optimal_policy w). reflexivity.
Qed.

(** What the optimal policy of w' loses at w, context by context: with h = ⟨w - w', r⟩ and p' = π*_{w'}(·|x),

      J*_w - J_w(π*_{w'}) = β E_x [ ln E_{p'} e^(h/β) - E_{p'} h/β ].  *)
Lemma loss_of_optimal_policy w w' :
  kl_optimum w - J w (optimal_policy w') =
  beta * Σ x < m, D x * (ln (Σ y < n, tilt n (reference x) (utility w' x) y * exp (utility w x y - utility w' x y))
                         - Σ y < n, tilt n (reference x) (utility w' x) y * (utility w x y - utility w' x y)).
Proof.
  rewrite value_expanded. unfold kl_optimum. rewrite <- Rmult_minus_distr_l, <- sum_minus. f_equal.
  apply sum_ext. intros x Hx. rewrite <- Rmult_minus_distr_l. f_equal. cbn [proj1_sig optimal_policy].
  pose proof (reference_positive x Hx) as Hq. set (q := reference x) in *.
  set (u := utility w x). set (u' := utility w' x).
  pose proof (tilt_positive n q u' Hq) as [Ht _].
  pose proof (KL_tilt n (tilt n q u') q u' Ht Hq) as Own. rewrite KL_self in Own.
  rewrite (partition_quotient n q u u' Hq), ln_quotient by (apply partition_pos; assumption).
  rewrite (sum_ext n (fun y => tilt n q u' y * (u y - u' y)) (fun y => tilt n q u' y * u y - tilt n q u' y * u' y))
    by (intros; lra).
  rewrite sum_minus. lra.
Qed.
End Bandit.

Print Assumptions gap_is_divergence.
Print Assumptions kl_optimum_is_optimum.
