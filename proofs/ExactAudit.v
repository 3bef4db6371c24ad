(** Theorem 3: an audit at finitely many weights, the corners, proves a portfolio for every weight.

    The portfolio π_0, ..., π_{K-1} has the envelope L(w) = max_k J_w(π_k). The cell of policy k is where it is best;
    the corner weights are the vertices of all cells. *)

Require Import Reals Lra Lia List.
From Palm Require Import Vectors Vertices Portfolios.
Open Scope R_scope.

Section Audit.
Variable d : nat.
Variable X : problem.
Variable Jstar : vector -> R.
Hypothesis J_optimum : is_optimum d X Jstar.
Variable K : nat.
Variable P : nat -> policy X.
Variable L : vector -> R.
Hypothesis L_envelope : is_envelope d X K P L.

Notation J := (value d X).

(** C_k = { w in the simplex : J_w(π_k) >= J_w(π_j) for all j } *)
Definition cell (k : nat) (w : vector) : Prop := simplex d w /\ ∀ j < K, J w (P j) <= J w (P k).

(** The corner weights: the vertices of all cells. *)
Definition corner (c : vector) : Prop := ∃ k < K, vertex d (cell k) c.

(** * A cell is a polytope *)

(** Its inequalities: w_i >= 0 for the d coordinates, then ⟨w, G_k - G_j⟩ >= 0 for the K policies. *)
Definition unit_vector (i : nat) : vector := fun j => if Nat.eq_dec j i then 1 else 0.
Definition inequality (k j : nat) : vector :=
  if Compare_dec.lt_dec j d then unit_vector j
  else fun i => vertex_values X (P k) i - vertex_values X (P (j - d)) i.

Lemma dot_unit_vector w i : (i < d)%nat -> dot d w (unit_vector i) = w i.
Proof.
  intros Hi. rewrite <- (sum_single d i (w i) Hi). apply sum_ext. intros j Hj.
  unfold unit_vector. destruct (Nat.eq_dec j i) as [-> |]; lra.
Qed.

Lemma inequality_coordinate k w i : (i < d)%nat -> dot d w (inequality k i) = w i.
Proof. intros Hi. unfold inequality. destruct (Compare_dec.lt_dec i d); [apply dot_unit_vector; assumption | lia]. Qed.

Lemma inequality_policy k w j : simplex d w -> dot d w (inequality k (d + j)) = J w (P k) - J w (P j).
Proof.
  intros Hw. unfold inequality. destruct (Compare_dec.lt_dec (d + j) d); [lia |].
  replace (d + j - d)%nat with j by lia. rewrite dot_minus_r, !value_is_linear by assumption. reflexivity.
Qed.

Lemma cell_is_polytope k w : cell k w <-> polytope d (d + K) (inequality k) w.
Proof.
  split.
  - intros [Hw Best]. split; [apply Hw |]. intros j Hj. destruct (Compare_dec.lt_dec j d) as [Lt | Ge].
    + rewrite inequality_coordinate by assumption. apply Hw. assumption.
    + replace j with (d + (j - d))%nat by lia. rewrite inequality_policy by assumption.
      assert (J w (P (j - d)) <= J w (P k)) by (apply Best; lia). lra.
  - intros [Hs H]. assert (Hw : simplex d w).
    { split; [| assumption]. intros i Hi. rewrite <- (inequality_coordinate k w i Hi). apply H. lia. }
    split; [assumption |]. intros j Hj. assert (0 <= dot d w (inequality k (d + j))) by (apply H; lia).
    rewrite inequality_policy in * by assumption. lra.
Qed.

Lemma cell_vertex_is_polytope_vertex k c : vertex d (cell k) c <-> vertex d (polytope d (d + K) (inequality k)) c.
Proof.
  split; intros [In Mid]; split; try (apply cell_is_polytope; assumption);
    intros a b Ha Hb; apply Mid; apply cell_is_polytope; assumption.
Qed.

Lemma coordinates_are_inequalities k : ∀ i < d, ∃ j < d + K, forall w, dot d w (inequality k j) = w i.
Proof. intros i Hi. exists i. split; [lia |]. intros w. apply inequality_coordinate. assumption. Qed.

(** On its cell a policy attains the envelope. *)
Lemma envelope_on_cell k w : (k < K)%nat -> cell k w -> L w = J w (P k).
Proof.
  intros Hk [Hw Best]. destruct (L_envelope w Hw) as [Up (j & Hj & E)].
  pose proof (Up k Hk). pose proof (Best j Hj). lra.
Qed.

(** The cells cover the simplex: at every weight some policy is best. *)
Lemma cells_cover w : simplex d w -> ∃ k < K, cell k w.
Proof.
  intros Hw. destruct (L_envelope w Hw) as [Up (k & Hk & E)].
  exists k. split; [assumption |]. split; [assumption |]. intros j Hj. rewrite E. apply Up. assumption.
Qed.

(** * Theorem 3 *)

(** Corner lemma. Let ε <= 1 and δ be real, and let w lie in the cell of policy k. If (1-ε) J*_c - δ <= L(c) at every
    vertex c of that cell, then (1-ε) J*_w - δ <= L(w).

    For one rival π the difference (1-ε) J_w(π) - J_w(π_k) is linear, so it is at most its value at some vertex; then
    take the supremum over π. *)
Theorem corner_lemma : forall eps delta k w, eps <= 1 -> (k < K)%nat ->
  (forall c, vertex d (cell k) c -> (1 - eps) * Jstar c - delta <= L c) ->
  cell k w -> (1 - eps) * Jstar w - delta <= L w.
Proof.
  intros eps delta k w He Hk Hc Hw.
  enough ((1 - eps) * Jstar w <= L w + delta) by lra.
  apply (optimum_le d X); [assumption | apply Hw | lra | exists (P 0%nat); trivial |].
  intros p.
  set (h := fun i => (1 - eps) * vertex_values X p i - vertex_values X (P k) i).
  assert (Linear : forall v, simplex d v -> dot d v h = (1 - eps) * J v p - J v (P k)).
  { intros v Hv. unfold h. rewrite dot_minus_r, dot_scal_r, !value_is_linear by assumption. reflexivity. }
  destruct (vertex_dominates d (d + K) (inequality k) (coordinates_are_inequalities k) w h) as (c & Vc & Le).
  { apply cell_is_polytope. assumption. }
  apply cell_vertex_is_polytope_vertex in Vc.
  pose proof (Hc c Vc) as Claim. destruct Vc as [Cc _].
  rewrite (envelope_on_cell k c) in Claim by assumption. rewrite (envelope_on_cell k w) by assumption.
  rewrite !Linear in Le by (apply Cc || apply Hw).
  assert (J c p <= Jstar c) by (apply value_le_optimum; [assumption | apply Cc]).
  assert ((1 - eps) * J c p <= (1 - eps) * Jstar c) by (apply Rmult_le_compat_l; lra).
  lra.
Qed.

(** Theorem 3. For real ε <= 1 and δ, the portfolio is an (ε, δ)-portfolio,

      L(w) >= (1-ε) J*_w - δ for every w in the simplex,

    if and only if the inequality holds at every corner weight. *)
Theorem exact_audit : forall eps delta, eps <= 1 ->
  (is_portfolio d Jstar L eps delta <-> forall c, corner c -> (1 - eps) * Jstar c - delta <= L c).
Proof.
  intros eps delta He. split.
  - intros H c (k & Hk & [Cc _] & _). apply H. assumption.
  - intros H w Hw. destruct (cells_cover w Hw) as (k & Hk & Cw).
    apply (corner_lemma eps delta k); auto.
    intros c Vc. apply H. exists k. auto.
Qed.

(** The audit needs only upper bounds of J* at the corners: if U(c) >= J*_c and (1-ε) U(c) - δ <= L(c) at every corner
    weight c, and ε <= 1, then the portfolio is an (ε, δ)-portfolio. *)
Theorem audit_with_bounds : forall U eps delta, eps <= 1 ->
  (forall c, corner c -> Jstar c <= U c /\ (1 - eps) * U c - delta <= L c) -> is_portfolio d Jstar L eps delta.
Proof.
  intros U eps delta He H. apply exact_audit; [assumption |]. intros c Cc. destruct (H c Cc) as [Le Claim].
  apply Rmult_le_compat_l with (r := 1 - eps) in Le; lra.
Qed.

(** There are finitely many corner weights. *)
Theorem corners_finite : finite d corner.
Proof.
  assert (Some : forall n, (n <= K)%nat -> finite d (fun c => ∃ k < n, vertex d (cell k) c)).
  2: { apply (Some K). lia. }
  induction n; intros Hn.
  - exists nil. split; [intros x [] | intros c (k & Hk & _); lia].
  - destruct IHn as (l & In_l & All_l); [lia |].
    destruct (vertices_finite d (d + K) (inequality n)) as (l' & In_l' & All_l').
    exists (l ++ l'). split.
    + intros x Hx. apply in_app_or in Hx. destruct Hx as [Hx | Hx].
      * destruct (In_l x Hx) as (k & Hk & V). exists k. split; [lia | assumption].
      * exists n. split; [lia |]. apply cell_vertex_is_polytope_vertex. auto.
    + intros c (k & Hk & V). destruct (Nat.eq_dec k n) as [-> | Ne].
      * destruct (All_l' c) as (x & Hx & S); [apply cell_vertex_is_polytope_vertex; assumption |].
        exists x. auto using in_or_app.
      * destruct (All_l c) as (x & Hx & S); [exists k; split; [lia | assumption] |].
        exists x. auto using in_or_app.
Qed.

(** The vertices e_i of the simplex are corner weights. *)
Theorem simplex_vertices_are_corners : ∀ i < d, corner (unit_vector i).
Proof.
  intros i Hi. assert (Hw : simplex d (unit_vector i)).
  { split.
    - intros j _. unfold unit_vector. destruct (Nat.eq_dec j i); lra.
    - apply sum_single. assumption. }
  destruct (cells_cover _ Hw) as (k & Hk & C). exists k. split; [assumption |]. split; [assumption |].
  intros a b [[Na Sa] _] [[Nb Sb] _] Mid.
  assert (Off : ∀ j < d, j <> i -> a j = 0 /\ b j = 0).
  { intros j Hj Ne. specialize (Mid j Hj). unfold unit_vector in Mid. destruct (Nat.eq_dec j i); [contradiction |].
    specialize (Na j Hj). specialize (Nb j Hj). lra. }
  assert (On : forall g, sum d g = 1 -> (∀ j < d, j <> i -> g j = 0) -> g i = 1).
  { intros g Sg Zg. rewrite <- Sg, <- (sum_single d i (g i) Hi). apply sum_ext. intros j Hj.
    destruct (Nat.eq_dec j i) as [-> |]; auto. symmetry. auto. }
  intros j Hj. destruct (Nat.eq_dec j i) as [-> | Ne].
  - rewrite (On a), (On b); auto; intros; apply Off; auto.
  - destruct (Off j Hj Ne). lra.
Qed.

(** * The numbers of a certificate are exact *)

(** The least δ for a given ε <= 1: if m is the largest of (1-ε) J*_c - L(c) over the corners, then the portfolio is an
    (ε, δ)-portfolio exactly for the δ >= m. *)
Theorem exact_delta : forall eps m, eps <= 1 ->
  (forall c, corner c -> (1 - eps) * Jstar c - L c <= m) -> (exists c, corner c /\ (1 - eps) * Jstar c - L c = m) ->
  forall delta, is_portfolio d Jstar L eps delta <-> m <= delta.
Proof.
  intros eps m He Up (c & Cc & E) delta. rewrite exact_audit by assumption. split.
  - intros H. specialize (H c Cc). lra.
  - intros Hm c' Cc'. specialize (Up c' Cc'). lra.
Qed.

(** The least ε for a given δ: let J* >= 0 at the corners, and J* > 0 at those where L + δ < J*. Then for 0 <= ε <= 1
    the portfolio is an (ε, δ)-portfolio if and only if ε >= 1 - (L(c)+δ)/J*_c at every corner c with L(c) + δ < J*_c.
    *)
Theorem exact_epsilon : forall eps delta, 0 <= eps <= 1 ->
  (forall c, corner c -> 0 <= Jstar c) -> (forall c, corner c -> L c + delta < Jstar c -> 0 < Jstar c) ->
  (is_portfolio d Jstar L eps delta <->
   forall c, corner c -> L c + delta < Jstar c -> 1 - (L c + delta) / Jstar c <= eps).
Proof.
  intros eps delta He Nonneg Pos. rewrite exact_audit by lra.
  assert (At : forall c, 0 < Jstar c -> ((1 - eps) * Jstar c - delta <= L c <-> 1 - (L c + delta) / Jstar c <= eps)).
  { intros c Hc. assert (Q : (L c + delta) / Jstar c * Jstar c = L c + delta) by (field; lra). split; intros H.
    - apply Rmult_le_reg_r with (Jstar c); [assumption |]. rewrite Rmult_minus_distr_r, Q. lra.
    - apply Rmult_le_compat_r with (r := Jstar c) in H; [| lra]. rewrite Rmult_minus_distr_r, Q in H. lra. }
  split.
  - intros H c Cc Lt. apply At; auto.
  - intros H c Cc. destruct (Rlt_le_dec (L c + delta) (Jstar c)) as [Lt | Ge].
    + apply At; auto.
    + specialize (Nonneg c Cc). nra.
Qed.

(** * Where the corners are found *)

(** Q = { (w, t) : w in the simplex, t >= J_w(π_k) for all k }, the set above the envelope. *)
Definition above (w : vector) (t : R) : Prop := simplex d w /\ ∀ k < K, J w (P k) <= t.

(** A vertex of Q: a pair of Q that is not the midpoint of two others. *)
Definition vertex_above (c : vector) (t : R) : Prop :=
  above c t /\ forall a s b r, above a s -> above b r -> (∀ i < d, c i = (a i + b i) / 2) -> t = (s + r) / 2 ->
    same d a b /\ s = r.

Lemma midpoint_value c a b p : simplex d a -> simplex d b -> simplex d c -> (∀ i < d, c i = (a i + b i) / 2) ->
  J c p = (J a p + J b p) / 2.
Proof.
  intros Ha Hb Hc Mid. rewrite !value_is_linear by assumption. unfold dot, Rdiv.
  rewrite <- sum_plus, <- sum_scal_r. apply sum_ext. intros i Hi. rewrite Mid by assumption. lra.
Qed.

(** The vertices of the polyhedron Q are exactly the pairs (c, L(c)) with c a corner weight. *)
Theorem corners_are_vertices_above : forall c t, vertex_above c t <-> corner c /\ t = L c.
Proof.
  intros c t. split.
  - intros [[Hc Up] Mid]. destruct (L_envelope c Hc) as [UpL (m & Hm & Em)].
    assert (E : t = L c).
    { (* else (c, t) is the midpoint of (c, L c) and (c, 2 t - L c) *)
      assert (L c <= t) by (rewrite <- Em; auto).
      destruct (Mid c (L c) c (2 * t - L c)); [split; auto | split; auto | intros; lra | lra | lra].
      intros k Hk. pose proof (UpL k Hk). lra. }
    split; [| assumption].
    destruct (cells_cover c Hc) as (k & Hk & Ck). exists k. split; [assumption |]. split; [assumption |].
    intros a b Ca Cb Half. destruct Ca as [Ha Ba]. destruct Cb as [Hb Bb].
    apply (Mid a (J a (P k)) b (J b (P k))); [split; auto | split; auto | assumption |].
    rewrite E, (envelope_on_cell k c) by assumption. apply midpoint_value; assumption.
  - intros [(k & Hk & [[Hc Best] Mid]) ->].
    assert (Lk : L c = J c (P k)) by (apply envelope_on_cell; [assumption | split; assumption]).
    split; [split; [assumption | intros j Hj; rewrite Lk; auto] |].
    intros a s b r [Ha As] [Hb Br] Half E.
    (* s >= J_a(π_k) and r >= J_b(π_k) with equal sums, so both are equalities, and a, b lie in the cell of k *)
    pose proof (As k Hk). pose proof (Br k Hk).
    pose proof (midpoint_value c a b (P k) Ha Hb Hc Half).
    assert (Ea : s = J a (P k)) by lra. assert (Eb : r = J b (P k)) by lra.
    assert (S : same d a b).
    { apply Mid; [split; [assumption |] | split; [assumption |] | assumption]; intros j Hj.
      - rewrite <- Ea. auto.
      - rewrite <- Eb. auto. }
    split; [assumption |]. rewrite Ea, Eb, !value_is_linear by assumption. apply dot_ext. assumption.
Qed.
End Audit.

Print Assumptions corner_lemma.
Print Assumptions exact_audit.
Print Assumptions audit_with_bounds.
Print Assumptions corners_finite.
Print Assumptions simplex_vertices_are_corners.
Print Assumptions exact_delta.
Print Assumptions exact_epsilon.
Print Assumptions corners_are_vertices_above.
