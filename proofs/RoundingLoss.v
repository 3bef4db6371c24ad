(** What is lost by solving at random points whose mean is the weight, instead of at the weight itself.

    J of a solved policy at its own point exceeds J of it at the weight by a factor, the raise ρ, for the coordinates
    that are rounded between neighbouring levels, and by a covariance for those that are rounded to 0 or α. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors Portfolios.
Open Scope R_scope.

(** * One coordinate, in the mean over a law lam on n points

    At point j the rounded coordinate is c_j, with mean v; the policy there has reward r_j and regulariser f_j <= F in
    this coordinate; ρ_j >= 1 is a factor with c_j <= ρ_j v for the coordinates that are not in the tail. *)
Section Coordinate.
Variable n : nat.
Variable lam : nat -> R.
Hypothesis law : simplex n lam.

(** A variable of [0,1] and one whose values differ by at most A have a covariance of at most A/4. *)
Lemma covariance_le a g A : (∀ j < n, 0 <= a j <= 1) -> (∀ j < n, ∀ k < n, g j - g k <= A) ->
  (Σ j < n, lam j * (a j * g j)) - (Σ j < n, lam j * a j) * (Σ j < n, lam j * g j) <= A / 4.
Proof.
  intros Ha Hg. destruct law as [Nonneg Total].
  assert (Apos : 0 <= A).
  { pose proof (simplex_nonempty n lam law) as Hn. pose proof (Hg 0%nat Hn 0%nat Hn). lra. }
  set (p := Σ j < n, lam j * a j). set (m := Σ j < n, lam j * g j). set (b := Σ j < n, lam j * (a j * g j)).
  assert (Hp : 0 <= p <= 1).
  { split.
    - apply sum_nonneg. intros j Hj. apply Rmult_le_pos; [auto | apply Ha; assumption].
    - apply average_le; [assumption |]. intros j Hj. apply Ha. assumption. }
  assert (Rest : (Σ k < n, lam k * (1 - a k)) = 1 - p).
  { rewrite (sum_ext n _ (fun k => lam k - lam k * a k)) by (intros; lra). rewrite sum_minus, Total. reflexivity. }
  assert (RestG : (Σ k < n, lam k * (1 - a k) * g k) = m - b).
  { unfold m, b. rewrite <- sum_minus. apply sum_ext. intros. lra. }
  (* Σ_j Σ_k λ_j λ_k a_j (1 - a_k) (g_j - g_k), from both sides *)
  assert (Pairs : (Σ j < n, Σ k < n, lam j * a j * (lam k * (1 - a k)) * (g j - g k)) = b - p * m).
  { rewrite (sum_ext n _ (fun j => (1 - p) * (lam j * (a j * g j)) - (m - b) * (lam j * a j))).
    - rewrite sum_minus, !sum_scal. fold b p. lra.
    - intros j _. rewrite <- Rest, <- RestG, <- !sum_scal_r, <- sum_minus. apply sum_ext. intros. lra. }
  assert (Bound : (Σ j < n, Σ k < n, lam j * a j * (lam k * (1 - a k)) * (g j - g k)) <= p * (1 - p) * A).
  { apply Rle_trans with (Σ j < n, Σ k < n, lam j * a j * (lam k * (1 - a k)) * A).
    - apply sum_le. intros j Hj. apply sum_le. intros k Hk. apply Rmult_le_compat_l; [| auto].
      specialize (Ha j Hj) as Aj. specialize (Ha k Hk) as Ak.
      specialize (Nonneg j Hj) as Nj. specialize (Nonneg k Hk) as Nk.
      apply Rmult_le_pos; apply Rmult_le_pos; lra.
    - right. rewrite (sum_ext n _ (fun j => (1 - p) * A * (lam j * a j))).
      + rewrite sum_scal. fold p. lra.
      + intros j _. rewrite <- Rest. rewrite sum_scal_r, sum_scal. lra. }
  assert (Quarter : p * (1 - p) <= / 4) by (pose proof (Rle_0_sqr (p - / 2)); unfold Rsqr in *; lra).
  nra.
Qed.

Variables c r f rho : nat -> R.
Variables v F : R.
Hypothesis mean_c : (Σ j < n, lam j * c j) = v.
Hypothesis v_nonneg : 0 <= v.
Hypothesis r_nonneg : ∀ j < n, 0 <= r j.
Hypothesis f_le : ∀ j < n, f j <= F.
Hypothesis rho_ge_1 : ∀ j < n, 1 <= rho j.

Notation mean_rho := (Σ j < n, lam j * rho j).

Lemma coordinate_big : (∀ j < n, c j <= rho j * v) ->
  (Σ j < n, lam j * (c j * (r j - f j))) <= (Σ j < n, lam j * (rho j * (v * (r j - f j)))) + F * (mean_rho - 1) * v.
Proof.
  intros Hc. destruct law as [Nonneg _].
  apply Rle_trans with (Σ j < n, (lam j * (rho j * (v * (r j - f j))) + (F * v * (lam j * rho j) - F * (lam j * c j)))).
  - apply sum_le. intros j Hj. specialize (Hc j Hj). specialize (r_nonneg j Hj). specialize (f_le j Hj).
    assert (c j * (r j - f j) <= rho j * (v * (r j - f j)) + F * (rho j * v - c j)) by nra.
    specialize (Nonneg j Hj). nra.
  - rewrite sum_plus, sum_minus, !sum_scal, mean_c. lra.
Qed.

Lemma coordinate_tail (a : nat -> R) alpha A : 0 <= alpha ->
  (∀ j < n, 0 <= a j <= 1) -> (∀ j < n, c j = alpha * a j) ->
  (∀ j < n, ∀ k < n, (r j - f j) - (r k - f k) <= A) ->
  (Σ j < n, lam j * (c j * (r j - f j))) <=
    (Σ j < n, lam j * (rho j * (v * (r j - f j)))) + F * (mean_rho - 1) * v + alpha * A / 4.
Proof.
  intros Halpha Ha Hc HA. destruct law as [Nonneg Total].
  pose proof (covariance_le a (fun j => r j - f j) A Ha HA) as Cov. cbv beta in Cov.
  assert (Ev : v = alpha * Σ j < n, lam j * a j).
  { rewrite <- mean_c, <- sum_scal. apply sum_ext. intros j Hj. rewrite Hc by assumption. lra. }
  assert (Ec : (Σ j < n, lam j * (c j * (r j - f j))) = alpha * Σ j < n, lam j * (a j * (r j - f j))).
  { rewrite <- sum_scal. apply sum_ext. intros j Hj. rewrite Hc by assumption. lra. }
  assert (Shift : (Σ j < n, lam j * (v * (r j - f j))) <=
                  (Σ j < n, lam j * (rho j * (v * (r j - f j)))) + F * (mean_rho - 1) * v).
  { apply Rle_trans with
      (Σ j < n, (lam j * (rho j * (v * (r j - f j))) + (F * v * (lam j * rho j) - F * v * lam j))).
    - apply sum_le. intros j Hj. specialize (rho_ge_1 j Hj). specialize (r_nonneg j Hj). specialize (f_le j Hj).
      assert (v * (r j - f j) <= rho j * (v * (r j - f j)) + F * v * (rho j - 1)).
      { assert (0 <= (rho j - 1) * v * (r j - f j + F)); [| lra].
        apply Rmult_le_pos; [apply Rmult_le_pos |]; lra. }
      specialize (Nonneg j Hj). nra.
    - rewrite sum_plus, sum_minus, !sum_scal, Total. lra. }
  assert (Split : (Σ j < n, lam j * (v * (r j - f j))) = v * Σ j < n, lam j * (r j - f j)).
  { rewrite <- sum_scal. apply sum_ext. intros. lra. }
  rewrite Ec. rewrite Split, Ev in Shift. rewrite Ev in *. nra.
Qed.
End Coordinate.

(** * All coordinates *)

Lemma sum_except d k x : (k < d)%nat -> (Σ i < d, if Nat.eq_dec i k then 0 else x) = (INR d - 1) * x.
Proof.
  intros Hk. rewrite (sum_ext d _ (fun i => x - (if Nat.eq_dec i k then x else 0))).
  - rewrite sum_minus, sum_const, sum_single by assumption. lra.
  - intros i _. destruct (Nat.eq_dec i k); lra.
Qed.

Section Coordinates.
Variable d : nat.
Variable X : problem.
Hypothesis reward_nonneg : forall p, ∀ i < d, 0 <= reward X p i.

Notation G := (vertex_values X).

(** A law on n points c_j with mean v; a policy π_j for each. Coordinates are "big" or, all but number k, in the
    "tail". Then the mean of J at c_j of π_j is at most E ρ · L + (E ρ - 1) F Σ v_i + (d-1) α A / 4, where L >=
    J_v(π_j) for all j. *)
Lemma mean_solved n lam (c : nat -> vector) (pi : nat -> policy X) rho v F A a0 k L :
  simplex n lam -> (forall i, (i < d)%nat -> (Σ j < n, lam j * c j i) = v i) -> (∀ i < d, 0 <= v i) ->
  (∀ j < n, regulariser X (pi j) <= F) -> (∀ j < n, 1 <= rho j) -> 0 <= a0 ->
  (∀ j < n, ∀ l < n, ∀ i < d, G (pi j) i - G (pi l) i <= A) ->
  (k < d)%nat -> (∀ j < n, c j k <= rho j * v k) ->
  (forall i, (i < d)%nat ->
     (∀ j < n, c j i <= rho j * v i) \/ exists a, ∀ j < n, 0 <= a j <= 1 /\ c j i = a0 * a j) ->
  (∀ j < n, dot d v (G (pi j)) <= L) ->
  (Σ j < n, lam j * dot d (c j) (G (pi j))) <=
    (Σ j < n, lam j * rho j) * L + ((Σ j < n, lam j * rho j) - 1) * F * sum d v + (INR d - 1) * (a0 * A / 4).
Proof.
  intros Hlam Mean Hv HF Hrho Ha0 HA Hk Big_k Kind HL.
  set (m := Σ j < n, lam j * rho j).
  assert (Apos : 0 <= A).
  { pose proof (simplex_nonempty n lam Hlam) as Hn. pose proof (HA 0%nat Hn 0%nat Hn k Hk). lra. }
  assert (Tail_pos : 0 <= a0 * A / 4) by nra.
  (* coordinate by coordinate *)
  assert (Coordinate : ∀ i < d,
    (Σ j < n, lam j * (c j i * G (pi j) i)) <=
    (Σ j < n, lam j * (rho j * (v i * G (pi j) i))) + F * (m - 1) * v i + (if Nat.eq_dec i k then 0 else a0 * A / 4)).
  { intros i Hi. unfold G.
    assert (Big : (∀ j < n, c j i <= rho j * v i) ->
      (Σ j < n, lam j * (c j i * (reward X (pi j) i - regulariser X (pi j)))) <=
      (Σ j < n, lam j * (rho j * (v i * (reward X (pi j) i - regulariser X (pi j))))) + F * (m - 1) * v i).
    { intros Hc. apply (coordinate_big n lam Hlam (fun j => c j i) (fun j => reward X (pi j) i)
                        (fun j => regulariser X (pi j))); auto. }
    destruct (Nat.eq_dec i k) as [-> | Ne].
    - specialize (Big Big_k). lra.
    - destruct (Kind i Hi) as [Hc | (a & Ha)].
      + specialize (Big Hc). lra.
      + apply (coordinate_tail n lam Hlam (fun j => c j i) (fun j => reward X (pi j) i) (fun j => regulariser X (pi j))
                 rho (v i) F) with (a := a); auto; intros j Hj; try (apply Ha; assumption).
        intros l Hl. apply (HA j Hj l Hl i Hi). }
  assert (Sum : (Σ j < n, lam j * dot d (c j) (G (pi j))) <=
    (Σ j < n, lam j * (rho j * dot d v (G (pi j)))) + F * (m - 1) * sum d v + (INR d - 1) * (a0 * A / 4)).
  { apply sum_le in Coordinate. rewrite !sum_plus, sum_scal, sum_except in Coordinate by assumption.
    rewrite sum_swap, (sum_swap d n) in Coordinate.
    rewrite (sum_ext n _ (fun j => Σ i < d, lam j * (c j i * G (pi j) i))).
    - rewrite (sum_ext n (fun j => lam j * (rho j * dot d v (G (pi j))))
                 (fun j => Σ i < d, lam j * (rho j * (v i * G (pi j) i)))); [assumption |].
      intros j _. unfold dot. rewrite <- !sum_scal. reflexivity.
    - intros j _. unfold dot. rewrite <- sum_scal. reflexivity. }
  assert (Mean_L : (Σ j < n, lam j * (rho j * dot d v (G (pi j)))) <= m * L).
  { unfold m. rewrite <- sum_scal_r. apply sum_le. intros j Hj. rewrite Rmult_assoc. destruct Hlam as [Nonneg _].
    apply Rmult_le_compat_l; [auto |]. apply Rmult_le_compat_l; [| auto]. specialize (Hrho j Hj). lra. }
  lra.
Qed.
End Coordinates.
