(** The constant V_d of Theorem 1'' is attained: no analysis of this cover, whatever its K, can promise a smaller ε. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors RandomThreshold HybridCover.
Open Scope R_scope.

(** * Sums in another order *)

Lemma sum_split a b g : sum (a + b) g = sum a g + Σ j < b, g (a + j)%nat.
Proof.
  induction b.
  - rewrite Nat.add_0_r. simpl. lra.
  - rewrite Nat.add_succ_r. simpl sum. rewrite IHb. lra.
Qed.

Lemma sum_first n g : sum (S n) g = g 0%nat + Σ j < n, g (S j).
Proof. induction n; [simpl; lra |]. simpl sum in *. rewrite IHn. lra. Qed.

Lemma sum_reverse n g : (Σ j < n, g (n - 1 - j)%nat) = sum n g.
Proof.
  induction n; [reflexivity |].
  rewrite sum_first. simpl sum at 2. rewrite <- IHn, Nat.sub_0_r. replace (S n - 1)%nat with n by lia.
  rewrite (sum_ext n (fun j => g (n - S j)%nat) (fun j => g (n - 1 - j)%nat)); [lra |].
  intros j _. f_equal. lia.
Qed.

Section Tight.
Variable d : nat.
Variable mu : R.
Hypothesis mu_pos : 0 < mu.

Notation q := (ratio d mu).

(** The residue of m - i modulo d, for i, m < d. *)
Definition gap (m i : nat) : nat := if Compare_dec.le_dec i m then (m - i)%nat else (d + m - i)%nat.

(** As i runs through 0, ..., d-1, so does the gap. *)
Lemma sum_gaps m h : (m < d)%nat -> (Σ i < d, h (gap m i)) = sum d h.
Proof.
  intros Hm. replace d with (S m + (d - 1 - m))%nat at 1 2 by lia. rewrite !sum_split. f_equal.
  - rewrite <- (sum_reverse (S m) h). apply sum_ext. intros i Hi. f_equal. unfold gap. destruct Compare_dec.le_dec; lia.
  - rewrite <- (sum_reverse (d - 1 - m) (fun j => h (S m + j)%nat)). apply sum_ext. intros j Hj. f_equal.
    unfold gap. destruct Compare_dec.le_dec; lia.
Qed.

(** The weight v_i = q^(-i), before normalisation, with q = (1+μ)^(1/d), and the d+1 policies, all with f = 0:
    specialist i < d earns 1/v_i in objective i and nothing else; the generalist earns z/v_i in every objective i, z =
    1 / Σ_{k<d} q^(-k). *)
Definition tight_weight : vector := fun i => / q ^ i.
Definition specialist (i : nat) : vector := fun j => if Nat.eq_dec j i then q ^ i else 0.
Definition generalist : vector := fun i => / (Σ k < d, / q ^ k) * q ^ i.

Lemma dot_specialist c i : (i < d)%nat -> dot d c (specialist i) = c i * q ^ i.
Proof.
  intros Hi. rewrite <- (sum_single d i (c i * q ^ i) Hi). apply sum_ext. intros j _.
  unfold specialist. destruct (Nat.eq_dec j i) as [-> |]; lra.
Qed.

Lemma dot_generalist c : dot d c generalist = / (Σ k < d, / q ^ k) * Σ i < d, c i * q ^ i.
Proof. unfold dot, generalist. rewrite <- sum_scal. apply sum_ext. intros. lra. Qed.

Hypothesis d_pos : (0 < d)%nat.

Lemma q_gt_1 : 1 < q.
Proof. apply ratio_gt_1; assumption. Qed.

Lemma q_pow_pos n : 0 < q ^ n.
Proof. apply pow_lt. pose proof q_gt_1. lra. Qed.

(** A level (1+μ)^(-k) is q^(-dk). *)
Lemma level_as_power k : / (1 + mu) ^ k = / q ^ (d * k).
Proof. rewrite pow_mult, ratio_pow by assumption. reflexivity. Qed.

(** Of two powers of q with exponents i - dk <= m - dl the first is at most q^(-gap) times the second: the exponents
    differ by a multiple of d from i - m. *)
Lemma power_gap i k m l : (i < d)%nat -> (m < d)%nat -> / q ^ (d * k) * q ^ i <= / q ^ (d * l) * q ^ m ->
  / q ^ (d * k) * q ^ i <= / q ^ gap m i * (/ q ^ (d * l) * q ^ m).
Proof.
  intros Hi Hm Le. pose proof q_gt_1 as Hq.
  pose proof (q_pow_pos (d * k)) as Pk. pose proof (q_pow_pos (d * l)) as Pl. pose proof (q_pow_pos (gap m i)) as Pg.
  assert (Cross : forall a b, / q ^ (d * k) * q ^ a <= / q ^ (d * l) * q ^ b <-> q ^ (a + d * l) <= q ^ (b + d * k)).
  { intros a b. rewrite !pow_add. split; intros H.
    - apply Rmult_le_compat_l with (r := q ^ (d * k) * q ^ (d * l)) in H; [| nra].
      replace (q ^ (d * k) * q ^ (d * l) * (/ q ^ (d * k) * q ^ a)) with (q ^ a * q ^ (d * l)) in H by (field; lra).
      replace (q ^ (d * k) * q ^ (d * l) * (/ q ^ (d * l) * q ^ b)) with (q ^ b * q ^ (d * k)) in H by (field; lra).
      assumption.
    - apply Rmult_le_reg_l with (q ^ (d * k) * q ^ (d * l)); [nra |].
      replace (q ^ (d * k) * q ^ (d * l) * (/ q ^ (d * k) * q ^ a)) with (q ^ a * q ^ (d * l)) by (field; lra).
      replace (q ^ (d * k) * q ^ (d * l) * (/ q ^ (d * l) * q ^ b)) with (q ^ b * q ^ (d * k)) by (field; lra).
      assumption. }
  assert (Exponents : (i + d * l <= m + d * k)%nat).
  { apply Cross in Le. destruct (Compare_dec.le_lt_dec (i + d * l) (m + d * k)) as [H | H]; [assumption |].
    apply (Rlt_pow q) in H; [lra | assumption]. }
  apply Rmult_le_reg_l with (q ^ gap m i); [assumption |].
  replace (q ^ gap m i * (/ q ^ gap m i * (/ q ^ (d * l) * q ^ m))) with (/ q ^ (d * l) * q ^ m) by (field; lra).
  replace (q ^ gap m i * (/ q ^ (d * k) * q ^ i)) with (/ q ^ (d * k) * q ^ (gap m i + i)) by (rewrite pow_add; ring).
  apply Cross. apply Rle_pow; [lra |].
  unfold gap. destruct Compare_dec.le_dec as [Im | Im].
  - assert (l <= k)%nat by (destruct (Compare_dec.le_lt_dec l k); [assumption | nia]). nia.
  - assert (l < k)%nat by (destruct (Compare_dec.le_lt_dec k l); [nia | assumption]). nia.
Qed.

(** Tightness. Whatever K, at every point c of the cover some specialist is at least as good as the generalist, so
    that solving at the cover need not return the generalist; but at the weight v = (q^(-i))_i the generalist is V_d
    times as good as every specialist: J*_v = V_d L(v). So ε = 1 - 1/V_d is attained, with f = 0 and rewards >= 0. *)
Theorem cover_is_tight :
  (forall K c, cover d mu K c -> ∃ i < d, dot d c generalist <= dot d c (specialist i)) /\
  (∀ i < d, dot d tight_weight generalist = V d mu * dot d tight_weight (specialist i)).
Proof.
  pose proof (powers_pos d mu d d_pos mu_pos d_pos) as S. split.
  - intros K c [Levels (top & Htop & Top)].
    destruct (largest_exists d (fun i => c i * q ^ i) d_pos) as (m & Hm & Max).
    exists m. split; [assumption |]. rewrite dot_specialist, dot_generalist by assumption.
    (* the largest c_i q^i is not 0 *)
    assert (Pos : 0 < c m * q ^ m).
    { apply Rlt_le_trans with (c top * q ^ top); [| apply Max; assumption].
      rewrite Top. pose proof (q_pow_pos top). lra. }
    assert (Each : ∀ i < d, c i * q ^ i <= c m * q ^ m * / q ^ gap m i).
    { intros i Hi. specialize (Max i Hi) as Le.
      destruct (Levels m Hm) as [Z | (l & _ & Em)]; [rewrite Z in Pos; lra |].
      destruct (Levels i Hi) as [Z | (k & _ & Ei)].
      - rewrite Z, Rmult_0_l. apply Rlt_le, Rmult_lt_0_compat; [assumption |]. apply Rinv_0_lt_compat, q_pow_pos.
      - rewrite Em, Ei, !level_as_power in *. rewrite (Rmult_comm _ (/ q ^ gap m i)). apply power_gap; assumption. }
    apply sum_le in Each. rewrite sum_scal, (sum_gaps m (fun k => / q ^ k)) in Each by assumption.
    apply Rmult_le_compat_l with (r := / Σ k < d, / q ^ k) in Each; [| apply Rlt_le, Rinv_0_lt_compat; assumption].
    replace (/ (Σ k < d, / q ^ k) * (c m * q ^ m * Σ k < d, / q ^ k)) with (c m * q ^ m) in Each by (field; lra).
    assumption.
  - intros i Hi. rewrite dot_specialist, dot_generalist by assumption. unfold tight_weight.
    assert (One : forall j, / q ^ j * q ^ j = 1) by (intros j; pose proof (q_pow_pos j); field; lra).
    rewrite One, (sum_ext d (fun j => / q ^ j * q ^ j) (fun _ => 1)), sum_const by (intros; apply One).
    unfold V. field. lra.
Qed.
End Tight.

Print Assumptions cover_is_tight.
