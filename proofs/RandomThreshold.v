(** Rounding by one random threshold U, uniform on [0,1]: coordinate i goes up if U < p_i. Between two neighbouring
    values of p nothing changes, so d coordinates, one of which never goes up, make a chain of at most d points. This
    file holds the law of that chain, its means, and the constant V_d of Theorem 1''. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors.
Open Scope R_scope.

(** * The constant *)

(** q = (1+μ)^(1/d) *)
Definition ratio (d : nat) (mu : R) : R := Rpower (1 + mu) (/ INR d).

(** V_d = d / Σ_{k<d} q^(-k) *)
Definition V (d : nat) (mu : R) : R := INR d / Σ k < d, / ratio d mu ^ k.

Lemma ratio_gt_1 d mu : (0 < d)%nat -> 0 < mu -> 1 < ratio d mu.
Proof.
  intros Hd Hmu. unfold ratio. apply Rle_lt_trans with (Rpower (1 + mu) 0); [rewrite Rpower_O; lra |].
  apply Rpower_lt; [lra |].
  apply Rinv_0_lt_compat, lt_0_INR. assumption.
Qed.

Lemma ratio_pow d mu : (0 < d)%nat -> 0 < mu -> ratio d mu ^ d = 1 + mu.
Proof.
  intros Hd Hmu. assert (0 < INR d) by (apply lt_0_INR; assumption).
  rewrite <- Rpower_pow by (pose proof (ratio_gt_1 d mu Hd Hmu); lra).
  unfold ratio. rewrite Rpower_mult, Rinv_l, Rpower_1; lra.
Qed.

Lemma powers_pos d mu n : (0 < d)%nat -> 0 < mu -> (0 < n)%nat -> 0 < Σ k < n, / ratio d mu ^ k.
Proof.
  intros Hd Hmu Hn. apply sum_pos; [assumption |]. intros k _. apply Rinv_0_lt_compat, pow_lt.
  pose proof (ratio_gt_1 d mu Hd Hmu). lra.
Qed.

(** (1 - 1/q) Σ_{k<n} q^(-k) = 1 - q^(-n) *)
Lemma geometric_sum q n : 0 < q -> (1 - / q) * (Σ k < n, / q ^ k) = 1 - / q ^ n.
Proof.
  intros Hq. induction n; [simpl; lra |].
  simpl sum. rewrite Rmult_plus_distr_l, IHn. simpl.
  assert (q ^ n <> 0) by (apply pow_nonzero; lra). field. split; [assumption | lra].
Qed.

(** V_d = ((1+μ)/μ) d (1 - 1/q) *)
Lemma V_closed d mu : (0 < d)%nat -> 0 < mu -> V d mu = (1 + mu) / mu * (INR d * (1 - / ratio d mu)).
Proof.
  intros Hd Hmu. pose proof (ratio_gt_1 d mu Hd Hmu) as Hq. pose proof (powers_pos d mu d Hd Hmu Hd) as Hs.
  pose proof (geometric_sum (ratio d mu) d) as G. rewrite ratio_pow in G by assumption.
  assert (E : 1 - / ratio d mu = (1 - / (1 + mu)) / Σ k < d, / ratio d mu ^ k).
  { rewrite <- G by lra. field. split; lra. }
  unfold V. rewrite E. field. repeat split; lra.
Qed.

Lemma V_ge_1 d mu : (0 < d)%nat -> 0 < mu -> 1 <= V d mu.
Proof.
  intros Hd Hmu. pose proof (powers_pos d mu d Hd Hmu Hd) as Hs. pose proof (ratio_gt_1 d mu Hd Hmu).
  assert (Le : (Σ k < d, / ratio d mu ^ k) <= Σ _ < d, 1).
  { apply sum_le. intros k _. rewrite <- Rinv_1. apply Rinv_le_contravar; [lra |]. apply pow_R1_Rle. lra. }
  rewrite sum_const in Le. unfold V.
  apply Rmult_le_reg_r with (Σ k < d, / ratio d mu ^ k); [assumption |].
  replace (INR d / (Σ k < d, / ratio d mu ^ k) * (Σ k < d, / ratio d mu ^ k)) with (INR d) by (field; lra). lra.
Qed.

(** * The chain *)

(** A chain of n steps: 0 = t_0 <= t_1 <= ... <= t_n = 1. *)
Definition chain (n : nat) (t : nat -> R) : Prop := t 0%nat = 0 /\ t n = 1 /\ forall j, t j <= t (S j).

(** p lies strictly inside no interval of t. *)
Definition respects (t : nat -> R) (p : R) : Prop := forall j, t j < p -> t (S j) <= p.

(** The probability that U lies in the interval j. *)
Definition step_law (t : nat -> R) (j : nat) : R := t (S j) - t j.

(** 1 if the coordinate is up on the interval j, else 0. *)
Definition up (t : nat -> R) (p : R) (j : nat) : R := if Rlt_dec (t j) p then 1 else 0.

(** n numbers of [0,1] cut it into at most n+1 intervals. *)
Lemma cut n p : (∀ i < n, 0 <= p i <= 1) ->
  exists t, t 0%nat = 0 /\ (forall j, (n < j)%nat -> t j = 1) /\ (forall j, t j <= t (S j)) /\
    ∀ i < n, respects t (p i).
Proof.
  induction n; intros Hp.
  - exists (fun j => match j with O => 0 | S _ => 1 end). repeat split.
    + intros [| j] Hj; [lia | reflexivity].
    + intros [| j]; lra.
    + intros i Hi. lia.
  - destruct IHn as (t & T0 & T1 & Mono & Respect); [auto |].
    assert (Hx : 0 <= p n <= 1) by auto. set (x := p n) in *.
    (* the new sorted sequence: x is put between its neighbours *)
    exists (fun j => match j with O => 0 | S k => Rmax (t k) (Rmin (t (S k)) x) end). repeat split.
    + intros [| k] Hk; [lia |]. rewrite !T1 by lia. unfold Rmax, Rmin. repeat destruct Rle_dec; lra.
    + intros [| k].
      * rewrite T0. apply Rmax_l.
      * pose proof (Mono k). pose proof (Mono (S k)). unfold Rmax, Rmin. repeat destruct Rle_dec; lra.
    + intros i Hi. destruct (Nat.eq_dec i n) as [-> | Ne].
      * fold x. intros [| k].
        -- rewrite T0. unfold Rmax, Rmin. repeat destruct Rle_dec; lra.
        -- unfold Rmax, Rmin. repeat destruct Rle_dec; lra.
      * assert (Old : respects t (p i)) by (apply Respect; lia). intros [| k].
        -- pose proof (Old 0%nat) as O0. rewrite T0 in *. unfold Rmax, Rmin. repeat destruct Rle_dec; lra.
        -- pose proof (Old k). pose proof (Old (S k)). pose proof (Mono k). pose proof (Mono (S k)).
           unfold Rmax, Rmin. repeat destruct Rle_dec; lra.
Qed.

(** d numbers of [0,1] of which one is 0 make a chain of d steps. *)
Lemma chain_exists d p k : (k < d)%nat -> p k = 0 -> (∀ i < d, 0 <= p i <= 1) ->
  exists t, chain d t /\ ∀ i < d, respects t (p i).
Proof.
  intros Hk Zk Hp. set (skip := fun i => if Compare_dec.lt_dec i k then i else S i).
  destruct (cut (d - 1) (fun i => p (skip i))) as (t & T0 & T1 & Mono & Respect).
  { intros i Hi. apply Hp. unfold skip. destruct (Compare_dec.lt_dec i k); lia. }
  exists t. split; [repeat split; [assumption | apply T1; lia | assumption] |].
  intros i Hi. destruct (Compare_dec.lt_eq_lt_dec i k) as [[Lt | ->] | Gt].
  - specialize (Respect i). unfold skip in Respect. destruct (Compare_dec.lt_dec i k); [| lia]. apply Respect. lia.
  - intros j Hj. rewrite Zk in Hj. assert (0 <= t j); [| lra].
    clear Hj. induction j; [lra |]. pose proof (Mono j). lra.
  - specialize (Respect (i - 1)%nat). unfold skip in Respect. destruct (Compare_dec.lt_dec (i - 1) k); [lia |].
    replace (S (i - 1)) with i in Respect by lia. apply Respect. lia.
Qed.

Lemma chain_nonneg n t j : chain n t -> 0 <= t j.
Proof.
  intros (T0 & _ & Mono). induction j; [lra |]. pose proof (Mono j). lra.
Qed.

(** * Its law *)

Lemma telescope n t : (Σ j < n, step_law t j) = t n - t 0%nat.
Proof. unfold step_law. induction n; simpl; [| rewrite IHn]; lra. Qed.

Lemma step_law_simplex n t : chain n t -> simplex n (step_law t).
Proof.
  intros (T0 & T1 & Mono). split.
  - intros j _. unfold step_law. pose proof (Mono j). lra.
  - rewrite telescope, T0, T1. lra.
Qed.

(** Coordinate i is up with probability p_i. *)
Lemma mean_up n t p : chain n t -> 0 <= p <= 1 -> respects t p -> (Σ j < n, step_law t j * up t p j) = p.
Proof.
  intros (T0 & T1 & Mono) Hp Respect.
  assert (Part : forall m, (Σ j < m, step_law t j * up t p j) = Rmin (t m) p).
  { induction m; simpl.
    - rewrite T0. unfold Rmin. destruct Rle_dec; lra.
    - rewrite IHm. pose proof (Respect m). pose proof (Mono m).
      unfold up, step_law, Rmin. destruct (Rlt_dec (t m) p); repeat destruct Rle_dec; lra. }
  rewrite Part, T1. unfold Rmin. destruct Rle_dec; lra.
Qed.

(** * The mean of the largest ratio of a rounded coordinate to its own value *)

(** On the interval j a coordinate lo (1 + μ p) that is up, at (1+μ) lo, has been raised by at most this factor. *)
Definition raise (mu : R) (t : nat -> R) (j : nat) : R := (1 + mu) / (1 + mu * t (S j)).

Lemma raise_ge_1 n mu t j : 0 < mu -> chain n t -> (j < n)%nat -> 1 <= raise mu t j.
Proof.
  intros Hmu C Hj. assert (0 <= t (S j)) by (apply (chain_nonneg n); assumption).
  assert (Le : t (S j) <= 1).
  { destruct C as (_ & T1 & Mono). rewrite <- T1. clear - Hj Mono. induction n; [lia |].
    destruct (Nat.eq_dec j n) as [-> |]; [lra |].
    assert (t (S j) <= t n) by (apply IHn; lia). pose proof (Mono n). lra. }
  unfold raise. apply Rmult_le_reg_r with (1 + mu * t (S j)); [nra |].
  replace ((1 + mu) / (1 + mu * t (S j)) * (1 + mu * t (S j))) with (1 + mu) by (field; nra). nra.
Qed.

Lemma ln_le_minus_1 x : 0 < x -> ln x <= x - 1.
Proof.
  intros Hx. destruct (Req_dec (ln x) 0) as [E | E].
  - rewrite E. rewrite <- ln_1 in E. apply ln_inv in E; lra.
  - pose proof (exp_ineq1 (ln x) E) as H. rewrite exp_ln in H; lra.
Qed.

Lemma sum_ln_ratios n y : (forall j, 0 < y j) -> (Σ j < n, ln (y j / y (S j))) = ln (y 0%nat) - ln (y n).
Proof.
  intros Hy. induction n; simpl; [lra |].
  rewrite IHn. unfold Rdiv. rewrite ln_mult, ln_Rinv; auto using Rinv_0_lt_compat. lra.
Qed.

(** The ratios of a sequence that rises from 1 to q^n have a mean of at least 1/q (arithmetic and geometric mean). *)
Lemma mean_ratio n q y : 1 < q -> (forall j, 0 < y j) -> y 0%nat = 1 -> y n = q ^ n ->
  INR n * / q <= Σ j < n, y j / y (S j).
Proof.
  intros Hq Hy Y0 Yn. assert (Q : 0 < / q) by (apply Rinv_0_lt_compat; lra).
  apply Rle_trans with (Σ j < n, (/ q * (1 + ln q) + / q * ln (y j / y (S j)))).
  - rewrite sum_plus, sum_const, sum_scal, sum_ln_ratios, Y0, Yn, ln_1, ln_pow by (assumption || lra). lra.
  - apply sum_le. intros j _. set (x := y j / y (S j)).
    assert (X : 0 < x) by (apply Rdiv_lt_0_compat; apply Hy).
    pose proof (ln_le_minus_1 (q * x)) as H. rewrite ln_mult in H by lra.
    assert (E : x = / q * (q * x)) by (field; lra). nra.
Qed.

(** The mean raise is at most V_d. *)
Theorem mean_raise : forall d mu t, (0 < d)%nat -> 0 < mu -> chain d t ->
  (Σ j < d, step_law t j * raise mu t j) <= V d mu.
Proof.
  intros d mu t Hd Hmu C. set (y := fun j => 1 + mu * t j).
  assert (Hy : forall j, 0 < y j).
  { intros j. unfold y. pose proof (chain_nonneg d t j C). nra. }
  rewrite (sum_ext d _ (fun j => (1 + mu) / mu * (1 - y j / y (S j)))).
  - rewrite sum_scal, V_closed by assumption. apply Rmult_le_compat_l.
    + apply Rlt_le, Rdiv_lt_0_compat; lra.
    + rewrite sum_minus, sum_const. destruct C as (T0 & T1 & _).
      assert (INR d * / ratio d mu <= Σ j < d, y j / y (S j)); [| lra].
      apply mean_ratio; [apply ratio_gt_1; assumption | assumption | unfold y; rewrite T0; lra |].
      rewrite ratio_pow by assumption. unfold y. rewrite T1. lra.
  - intros j _. unfold step_law, raise. pose proof (Hy (S j)) as P. unfold y in *. field. split; lra.
Qed.

Print Assumptions mean_raise.
