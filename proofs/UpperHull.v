(** The sandwich: what is known of J* at some weights bounds it from above at all others. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors Portfolios.
Open Scope R_scope.

Section Hull.
Variable d : nat.
Variable X : problem.
Variable Jstar : vector -> R.
Hypothesis J_optimum : is_optimum d X Jstar.

(** u_k >= J* at the weights c_0, ..., c_{m-1}. *)
Variable m : nat.
Variable c : nat -> vector.
Variable u : nat -> R.
Hypothesis weights : ∀ k < m, simplex d (c k).
Hypothesis known : ∀ k < m, Jstar (c k) <= u k.
Hypothesis some_policy : exists p : policy X, True.

Lemma combination_le lam g : (∀ k < m, 0 <= lam k) -> (∀ k < m, dot d (c k) g <= u k) ->
  dot d (fun i => Σ k < m, lam k * c k i) g <= Σ k < m, lam k * u k.
Proof.
  intros Nonneg Le. rewrite dot_combination. apply sum_le. intros k Hk. apply Rmult_le_compat_l; auto.
Qed.

Lemma linear_le_known k p : (k < m)%nat -> dot d (c k) (vertex_values X p) <= u k.
Proof.
  intros Hk. rewrite <- value_is_linear by auto.
  apply Rle_trans with (Jstar (c k)); [| auto]. apply value_le_optimum; auto.
Qed.

(** Upper hull. If w = Σ_k λ_k c_k with λ >= 0, then J*_w <= Σ_k λ_k u_k; so J*_w <= U(w), the least of these sums. *)
Theorem upper_hull : forall w lam, simplex d w -> (∀ k < m, 0 <= lam k) ->
  (forall i, (i < d)%nat -> (Σ k < m, lam k * c k i) = w i) -> Jstar w <= Σ k < m, lam k * u k.
Proof.
  intros w lam Hw Nonneg Mean. rewrite <- (Rmult_1_l (Jstar w)).
  apply (optimum_le d X); [assumption | assumption | lra | assumption |]. intros p.
  rewrite Rmult_1_l, value_is_linear by assumption.
  rewrite <- (dot_ext d (fun i => Σ k < m, lam k * c k i) w) by assumption.
  apply combination_le; [assumption |]. intros k Hk. apply linear_le_known. assumption.
Qed.

(** Monotone hull. If f = 0 and rewards are >= 0, it is enough that w <= Σ_k λ_k c_k in each coordinate. *)
Theorem monotone_hull : forall w lam, (forall p, regulariser X p = 0) -> (forall p, ∀ i < d, 0 <= reward X p i) ->
  simplex d w -> (∀ k < m, 0 <= lam k) ->
  (∀ i < d, w i <= Σ k < m, lam k * c k i) -> Jstar w <= Σ k < m, lam k * u k.
Proof.
  intros w lam Hf Hr Hw Nonneg Above. rewrite <- (Rmult_1_l (Jstar w)).
  apply (optimum_le d X); [assumption | assumption | lra | assumption |]. intros p.
  rewrite Rmult_1_l, value_is_linear by assumption.
  apply Rle_trans with (dot d (fun i => Σ k < m, lam k * c k i) (vertex_values X p)).
  - apply sum_le. intros i Hi. apply Rmult_le_compat_r; [| auto].
    unfold vertex_values. rewrite Hf. specialize (Hr p i Hi). lra.
  - apply combination_le; [assumption |]. intros k Hk. apply linear_le_known. assumption.
Qed.
End Hull.

Print Assumptions upper_hull.
Print Assumptions monotone_hull.
