(** Finite sums, weights, and the largest of finitely many numbers.

    A vector of dimension d is a function nat -> R of which the entries 0, ..., d-1 count. Vectors are never compared by
    [=]: where two are said to be the same, they are so entry by entry. *)

Require Import Reals Lra Lia.
Open Scope R_scope.

Definition vector := nat -> R.

Fixpoint sum (n : nat) (g : nat -> R) : R :=
  match n with
  | O => 0
  | S m => sum m g + g m
  end.

Notation "'Σ' i < n , e" := (sum n (fun i => e)) (at level 45, i name, n at level 30, e at level 45).
Notation "'∀' i < n , P" := (forall i : nat, (i < n)%nat -> P) (at level 200, i name, n at level 30, P at level 200).
Notation "'∃' i < n , P" := (exists i : nat, (i < n)%nat /\ P) (at level 200, i name, n at level 30, P at level 200).

(** ⟨w, g⟩ *)
Definition dot (d : nat) (w g : vector) : R := Σ i < d, w i * g i.

(** The simplex Δ of weights; also the probability laws on n points. *)
Definition simplex (d : nat) (w : vector) : Prop := (∀ i < d, 0 <= w i) /\ sum d w = 1.

(** The same vector, entry by entry. *)
Definition same (d : nat) (a b : vector) : Prop := ∀ i < d, a i = b i.

(** * Sums *)

Lemma sum_ext n g h : (∀ i < n, g i = h i) -> sum n g = sum n h.
Proof.
  induction n; simpl; intros H; auto.
  rewrite IHn, H; auto.
Qed.

Lemma sum_le n g h : (∀ i < n, g i <= h i) -> sum n g <= sum n h.
Proof.
  induction n; simpl; intros H; [lra |].
  assert (sum n g <= sum n h) by (apply IHn; auto).
  assert (g n <= h n) by auto. lra.
Qed.

Lemma sum_plus n g h : (Σ i < n, (g i + h i)) = sum n g + sum n h.
Proof. induction n; simpl; lra. Qed.

Lemma sum_minus n g h : (Σ i < n, (g i - h i)) = sum n g - sum n h.
Proof. induction n; simpl; lra. Qed.

Lemma sum_scal n c g : (Σ i < n, c * g i) = c * sum n g.
Proof. induction n; simpl; [| rewrite IHn]; lra. Qed.

Lemma sum_scal_r n c g : (Σ i < n, g i * c) = sum n g * c.
Proof. induction n; simpl; [| rewrite IHn]; lra. Qed.

Lemma sum_const n c : (Σ _ < n, c) = INR n * c.
Proof.
  induction n; [simpl; lra |].
  rewrite S_INR. simpl sum. rewrite IHn. lra.
Qed.

Lemma sum_swap n m (g : nat -> nat -> R) : (Σ i < n, Σ j < m, g i j) = (Σ j < m, Σ i < n, g i j).
Proof.
  induction n; simpl.
  - induction m; simpl; [| rewrite <- IHm]; lra.
  - rewrite IHn, <- sum_plus. reflexivity.
Qed.

Lemma sum_nonneg n g : (∀ i < n, 0 <= g i) -> 0 <= sum n g.
Proof.
  intros H. apply Rle_trans with (Σ _ < n, 0).
  - rewrite sum_const. lra.
  - apply sum_le. auto.
Qed.

(** A term of a sum of nonnegative numbers is at most the sum. *)
Lemma sum_term_le n g k : (∀ i < n, 0 <= g i) -> (k < n)%nat -> g k <= sum n g.
Proof.
  induction n; simpl; intros H Hk; [lia |].
  assert (0 <= sum n g) by (apply sum_nonneg; auto).
  assert (0 <= g n) by auto.
  destruct (Nat.eq_dec k n) as [-> | E]; [lra |].
  assert (g k <= sum n g) by (apply IHn; [auto | lia]). lra.
Qed.

Lemma sum_pos n g : (0 < n)%nat -> (∀ i < n, 0 < g i) -> 0 < sum n g.
Proof.
  intros Hn H. apply Rlt_le_trans with (g 0%nat); [auto |].
  apply (sum_term_le n g 0); auto. intros i Hi. apply Rlt_le; auto.
Qed.

(** A term that occurs only at one index. *)
Lemma sum_single n k x : (k < n)%nat -> (Σ i < n, if Nat.eq_dec i k then x else 0) = x.
Proof.
  induction n; simpl; intros Hk; [lia |].
  destruct (Nat.eq_dec n k) as [E | E].
  - rewrite (sum_ext n _ (fun _ => 0)), sum_const; [lra |].
    intros i Hi. destruct (Nat.eq_dec i k); [lia | reflexivity].
  - rewrite IHn by lia. lra.
Qed.

(** * Inner products *)

Lemma dot_ext d w w' g : (∀ i < d, w i = w' i) -> dot d w g = dot d w' g.
Proof. intros H. apply sum_ext. intros i Hi. rewrite H; auto. Qed.

Lemma dot_scal d c w g : dot d (fun i => c * w i) g = c * dot d w g.
Proof. unfold dot. rewrite <- sum_scal. apply sum_ext. intros. lra. Qed.

Lemma dot_plus d w w' g : dot d (fun i => w i + w' i) g = dot d w g + dot d w' g.
Proof. unfold dot. rewrite <- sum_plus. apply sum_ext. intros. lra. Qed.

Lemma dot_minus_r d w g h : dot d w (fun i => g i - h i) = dot d w g - dot d w h.
Proof. unfold dot. rewrite <- sum_minus. apply sum_ext. intros. lra. Qed.

Lemma dot_scal_r d c w g : dot d w (fun i => c * g i) = c * dot d w g.
Proof. unfold dot. rewrite <- sum_scal. apply sum_ext. intros. lra. Qed.

(** ⟨Σ_k λ_k c_k, g⟩ = Σ_k λ_k ⟨c_k, g⟩ *)
Lemma dot_combination d m lam (c : nat -> vector) g :
  dot d (fun i => Σ k < m, lam k * c k i) g = Σ k < m, lam k * dot d (c k) g.
Proof.
  unfold dot.
  rewrite (sum_ext d _ (fun i => Σ k < m, lam k * (c k i * g i))).
  - rewrite sum_swap. apply sum_ext. intros. apply sum_scal.
  - intros. rewrite <- sum_scal_r. apply sum_ext. intros. lra.
Qed.

(** ⟨w, Σ_k q_k g_k⟩ = Σ_k q_k ⟨w, g_k⟩ *)
Lemma dot_combination_r d m w q (g : nat -> vector) :
  dot d w (fun i => Σ k < m, q k * g k i) = Σ k < m, q k * dot d w (g k).
Proof.
  unfold dot.
  rewrite (sum_ext d _ (fun i => Σ k < m, q k * (w i * g k i))).
  - rewrite sum_swap. apply sum_ext. intros. apply sum_scal.
  - intros. rewrite <- sum_scal. apply sum_ext. intros. lra.
Qed.

Lemma dot_le d w g h : (∀ i < d, 0 <= w i) -> (∀ i < d, g i <= h i) -> dot d w g <= dot d w h.
Proof. intros Hw H. apply sum_le. intros i Hi. apply Rmult_le_compat_l; auto. Qed.

Lemma dot_const d w c : dot d w (fun _ => c) = sum d w * c.
Proof. unfold dot. apply sum_scal_r. Qed.

(** * Averages *)

(** An average of numbers that are at most b is at most b. *)
Lemma average_le n lam a b : simplex n lam -> (∀ i < n, a i <= b) -> (Σ i < n, lam i * a i) <= b.
Proof.
  intros [H1 H2] H. apply Rle_trans with (Σ i < n, lam i * b).
  - apply sum_le. intros i Hi. apply Rmult_le_compat_l; auto.
  - rewrite sum_scal_r, H2. lra.
Qed.

Lemma simplex_nonempty n lam : simplex n lam -> (0 < n)%nat.
Proof. intros [_ H]. destruct n; [simpl in H; lra | lia]. Qed.

(** * The largest of finitely many numbers *)

Lemma largest_exists n (g : nat -> R) : (0 < n)%nat -> ∃ k < n, ∀ j < n, g j <= g k.
Proof.
  induction n; intros Hn; [lia |].
  destruct (Nat.eq_dec n 0) as [-> | E].
  - exists 0%nat. split; [lia |]. intros j Hj. replace j with 0%nat by lia. lra.
  - destruct IHn as (k & Hk & H); [lia |].
    destruct (Rle_lt_dec (g n) (g k)).
    + exists k. split; [lia |]. intros j Hj. destruct (Nat.eq_dec j n) as [-> |]; [auto |]. apply H. lia.
    + exists n. split; [lia |]. intros j Hj. destruct (Nat.eq_dec j n) as [-> |]; [lra |].
      assert (g j <= g k) by (apply H; lia). lra.
Qed.

(** x is the largest of g 0, ..., g (n-1): x = max_{i<n} g i. *)
Definition largest (n : nat) (g : nat -> R) (x : R) : Prop := (∀ i < n, g i <= x) /\ ∃ i < n, g i = x.

(** * Choosing finitely many things at once *)

Lemma finite_choice {A : Type} (default : A) n (P : nat -> A -> Prop) :
  (∀ i < n, exists a, P i a) -> exists f : nat -> A, ∀ i < n, P i (f i).
Proof.
  induction n; intros H.
  - exists (fun _ => default). intros; lia.
  - destruct IHn as [f Hf]; [auto |].
    destruct (H n) as [a Ha]; [lia |].
    exists (fun i => if Nat.eq_dec i n then a else f i).
    intros i Hi. destruct (Nat.eq_dec i n) as [-> |]; [assumption |]. apply Hf. lia.
Qed.
