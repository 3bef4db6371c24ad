(** The hybrid cover with aligned levels, and how a weight is rounded on it. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors.
Open Scope R_scope.

Section Cover.
Variable d : nat.
Variable mu : R.
Hypothesis mu_pos : 0 < mu.
Variable K : nat.

(** α = (1+μ)^(-K), the smallest positive level *)
Definition alpha : R := / (1 + mu) ^ K.

(** The levels: Γ = {0} ∪ { (1+μ)^(-k) : k = 0, ..., K } *)
Definition level (x : R) : Prop := x = 0 \/ exists k, (k <= K)%nat /\ x = / (1 + mu) ^ k.

(** The cover, before normalisation: every entry is a level, and the largest is 1. *)
Definition cover (c : vector) : Prop := (∀ i < d, level (c i)) /\ ∃ i < d, c i = 1.

Lemma power_pos k : 0 < / (1 + mu) ^ k.
Proof. apply Rinv_0_lt_compat, pow_lt. lra. Qed.

Lemma alpha_pos : 0 < alpha.
Proof. apply power_pos. Qed.

Lemma level_nonneg x : level x -> 0 <= x.
Proof. intros [-> | (k & _ & ->)]; [lra | apply Rlt_le, power_pos]. Qed.

Lemma cover_nonneg c : cover c -> ∀ i < d, 0 <= c i.
Proof. intros [H _] i Hi. apply level_nonneg. auto. Qed.

Lemma cover_sum_pos c : cover c -> 0 < sum d c.
Proof.
  intros Hc. pose proof (cover_nonneg c Hc) as Nonneg. destruct Hc as [_ (i & Hi & E)].
  pose proof (sum_term_le d c i Nonneg Hi). lra.
Qed.

(** A number of [α, 1] lies between neighbouring levels: v = lo (1 + μ p), and the level above lo is (1+μ) lo; for v =
    1, lo = 1 and p = 0. *)
Lemma bracket : forall n v, / (1 + mu) ^ n <= v <= 1 ->
  exists k p, (k <= n)%nat /\ 0 <= p <= 1 /\ v = / (1 + mu) ^ k * (1 + mu * p) /\
    (k = 0%nat -> p = 0) /\ (v = 1 -> k = 0%nat).
Proof.
  induction n; intros v Hv.
  - simpl in Hv. exists 0%nat, 0. simpl. repeat split; auto; lra.
  - destruct (Rle_lt_dec (/ (1 + mu) ^ n) v) as [Le | Lt].
    + destruct (IHn v) as (k & p & Hk & Rest); [lra |]. exists k, p. split; [lia | assumption].
    + set (lo := / (1 + mu) ^ S n) in *. assert (Lo : 0 < lo) by apply power_pos.
      assert (Next : / (1 + mu) ^ n = lo * (1 + mu)).
      { unfold lo. simpl. field. split; [apply pow_nonzero |]; lra. }
      assert (Top : / (1 + mu) ^ n <= 1).
      { rewrite <- Rinv_1. apply Rinv_le_contravar; [lra |]. apply pow_R1_Rle. lra. }
      exists (S n), ((v / lo - 1) / mu).
      assert (E : v = lo * (v / lo)) by (field; lra).
      assert (Quot : 1 <= v / lo <= 1 + mu) by (split; nra).
      repeat split; [lia | | | fold lo; field; lra | intros; lia | lra].
      * apply Rmult_le_pos; [lra |]. apply Rlt_le, Rinv_0_lt_compat. assumption.
      * apply Rmult_le_reg_r with mu; [assumption |].
        replace ((v / lo - 1) / mu * mu) with (v / lo - 1) by (field; lra). lra.
Qed.

(** How a coordinate v is rounded: to lo, or with probability p to hi. *)
Definition rounding : Type := (R * R * R)%type.
Definition lo (r : rounding) : R := fst (fst r).
Definition hi (r : rounding) : R := snd (fst r).
Definition chance (r : rounding) : R := snd r.

(** "Big" coordinates go up by the factor 1+μ; those of the "tail", below α, go from 0 to α. *)
Definition big (r : rounding) : Prop := hi r = (1 + mu) * lo r \/ chance r = 0.
Definition tail (r : rounding) : Prop := lo r = 0 /\ hi r = alpha.

Definition rounds (v : R) (r : rounding) : Prop :=
  level (lo r) /\ level (hi r) /\ 0 <= chance r <= 1 /\ v = lo r + chance r * (hi r - lo r) /\ (big r \/ tail r).

Lemma rounding_exists v : 0 <= v <= 1 ->
  exists r, rounds v r /\ (v = 1 -> lo r = 1 /\ chance r = 0).
Proof.
  intros Hv. destruct (Rle_lt_dec alpha v) as [Le | Lt].
  - destruct (bracket K v) as (k & p & Hk & Hp & E & P0 & Top); [split; [assumption | lra] |].
    assert (Lo : level (/ (1 + mu) ^ k)) by (right; exists k; auto).
    destruct k as [| k].
    + assert (p = 0) by auto. subst p. exists (1, 1, 0). unfold rounds, lo, hi, chance; simpl in *.
      split; [split; [| split; [| split; [| split]]] | intros; split; reflexivity].
      * right. exists 0%nat. simpl. split; [lia | lra].
      * right. exists 0%nat. simpl. split; [lia | lra].
      * lra.
      * lra.
      * left. right. reflexivity.
    + assert (Next : / (1 + mu) ^ k = (1 + mu) * / (1 + mu) ^ S k).
      { simpl. field. split; [apply pow_nonzero |]; lra. }
      exists (/ (1 + mu) ^ S k, / (1 + mu) ^ k, p). unfold rounds, lo, hi, chance; cbn [fst snd].
      split; [split; [| split; [| split; [| split]]] | intros H; specialize (Top H); lia].
      * assumption.
      * right. exists k. split; [lia | reflexivity].
      * assumption.
      * rewrite E, Next. ring.
      * left. left. assumption.
  - pose proof alpha_pos as A. exists (0, alpha, v / alpha). unfold rounds, lo, hi, chance; simpl.
    assert (E : v = v / alpha * alpha) by (field; lra).
    assert (alpha <= 1).
    { unfold alpha. rewrite <- Rinv_1. apply Rinv_le_contravar; [lra |]. apply pow_R1_Rle. lra. }
    split; [split; [| split; [| split; [| split]]] | intros; lra].
    + left. reflexivity.
    + right. exists K. split; [lia | reflexivity].
    + split; [| apply Rmult_le_reg_r with alpha; lra].
      apply Rmult_le_pos; [lra |]. apply Rlt_le, Rinv_0_lt_compat. assumption.
    + lra.
    + right. split; reflexivity.
Qed.
End Cover.
