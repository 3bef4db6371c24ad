(** Theorem 1'': what the policies solved at the hybrid cover with α = (1+μ)^(-K) promise for every weight.

    A weight is rounded at random to a point of the cover whose mean is the weight; J* is convex, so J* of the weight
    is at most the mean of J* over these points, where policies were solved. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors Portfolios RandomThreshold HybridCover RoundingLoss.
Open Scope R_scope.

Section Solved.
Variable d : nat.
Variable X : problem.
Variable Jstar : vector -> R.
Hypothesis J_optimum : is_optimum d X Jstar.
Hypothesis reward_nonneg : forall p, ∀ i < d, 0 <= reward X p i.

Notation G := (vertex_values X).
Notation J := (value d X).

(** * The chain of a weight *)

(** Let v lie in [0,1]^d with v_k = 1. It is the mean of a chain of d points of the cover. Where a coordinate is not
    in the tail it is raised at most by the factor (1+μ)/(1+μ t_{j+1}); in the tail it is 0 or α. *)
Lemma rounded_chain mu K v k : 0 < mu -> (k < d)%nat -> v k = 1 -> (∀ i < d, 0 <= v i <= 1) ->
  exists t c, chain d t /\ (∀ j < d, cover d mu K (c j)) /\
    (forall i, (i < d)%nat -> (Σ j < d, step_law t j * c j i) = v i) /\
    (∀ j < d, c j k <= raise mu t j * v k) /\
    (forall i, (i < d)%nat ->
       (∀ j < d, c j i <= raise mu t j * v i) \/ exists a, ∀ j < d, 0 <= a j <= 1 /\ c j i = alpha mu K * a j).
Proof.
  intros Hmu Hk Vk Hv.
  destruct (finite_choice (0, 0, 0) d (fun i r => rounds mu K (v i) r /\ (v i = 1 -> lo r = 1 /\ chance r = 0)))
    as [r Hr].
  { intros i Hi. apply rounding_exists; auto. }
  destruct (Hr k Hk) as [_ Top]. destruct (Top Vk) as [Lo_k P_k].
  destruct (chain_exists d (fun i => chance (r i)) k Hk P_k) as (t & Chain & Respect).
  { intros i Hi. apply Hr. assumption. }
  set (c := fun j i => if Rlt_dec (t j) (chance (r i)) then hi (r i) else lo (r i)).
  assert (C_up : forall j i, c j i = lo (r i) + up t (chance (r i)) j * (hi (r i) - lo (r i))).
  { intros j i. unfold c, up. destruct Rlt_dec; lra. }
  assert (Raised : forall i, (i < d)%nat -> big mu (r i) -> ∀ j < d, c j i <= raise mu t j * v i).
  { intros i Hi Big j Hj. destruct (Hr i Hi) as [(L1 & L2 & Hp & E & _) _].
    pose proof (level_nonneg mu Hmu K _ L1) as Lo. pose proof (raise_ge_1 d mu t j Hmu Chain Hj) as Raise.
    pose proof (chain_nonneg d t j Chain) as Tj. pose proof (chain_nonneg d t (S j) Chain) as Tj1.
    unfold c. destruct (Rlt_dec (t j) (chance (r i))) as [Up | Down].
    - destruct Big as [Hi_lo | P0]; [| lra].
      assert (Le : t (S j) <= chance (r i)) by (apply Respect; assumption).
      (* v >= lo (1 + μ t_{j+1}), and hi = (1+μ) lo *)
      assert (Ev : lo (r i) * (1 + mu * t (S j)) <= v i).
      { rewrite E, Hi_lo. assert (0 <= mu * lo (r i) * (chance (r i) - t (S j))); [| lra].
        apply Rmult_le_pos; [apply Rmult_le_pos |]; lra. }
      unfold raise. apply Rle_trans with ((1 + mu) / (1 + mu * t (S j)) * (lo (r i) * (1 + mu * t (S j)))).
      + right. rewrite Hi_lo. field. nra.
      + apply Rmult_le_compat_l; [| assumption]. apply Rlt_le, Rdiv_lt_0_compat; nra.
    - assert (lo (r i) <= v i).
      { rewrite E. destruct Big as [-> | ->]; [| lra].
        assert (0 <= chance (r i) * (mu * lo (r i))); [| lra].
        apply Rmult_le_pos; [lra |]. apply Rmult_le_pos; lra. }
      nra. }
  exists t, c. repeat split.
  - apply Chain.
  - apply Chain.
  - apply Chain.
  - intros i Hi. destruct (Hr i Hi) as [(L1 & L2 & _) _]. unfold c. destruct Rlt_dec; assumption.
  - exists k. split; [assumption |]. unfold c. rewrite P_k. destruct (Rlt_dec (t j) 0) as [Neg | _]; [| assumption].
    pose proof (chain_nonneg d t j Chain). lra.
  - intros i Hi. destruct (Hr i Hi) as [(_ & _ & Hp & E & _) _].
    rewrite (sum_ext d _ (fun j =>
      lo (r i) * step_law t j + (hi (r i) - lo (r i)) * (step_law t j * up t (chance (r i)) j))).
    + rewrite sum_plus, !sum_scal, telescope, mean_up with (n := d) by (auto || apply Hp).
      destruct Chain as (T0 & T1 & _). rewrite T0, T1. rewrite E. lra.
    + intros j _. rewrite C_up. lra.
  - apply Raised; [assumption |]. right. assumption.
  - intros i Hi. destruct (Hr i Hi) as [(_ & _ & _ & _ & [Big | [Lo Hi_alpha]]) _].
    + left. apply Raised; assumption.
    + right. exists (up t (chance (r i))). intros j Hj. split.
      * unfold up. destruct Rlt_dec; lra.
      * rewrite C_up, Lo, Hi_alpha. lra.
Qed.

(** * The portfolio of the cover *)

(** The weight of a point of the cover: c / Σ c_i. *)
Definition normalised (c : vector) : vector := fun i => / sum d c * c i.

Lemma normalised_simplex c : (∀ i < d, 0 <= c i) -> 0 < sum d c -> simplex d (normalised c).
Proof.
  intros Hc Hs. split.
  - intros i Hi. unfold normalised. apply Rmult_le_pos; [| auto]. apply Rlt_le, Rinv_0_lt_compat. assumption.
  - unfold normalised. rewrite sum_scal. field. lra.
Qed.

Lemma value_normalised c p : (∀ i < d, 0 <= c i) -> 0 < sum d c -> J (normalised c) p = / sum d c * dot d c (G p).
Proof.
  intros Hc Hs. rewrite value_is_linear by (apply normalised_simplex; assumption). apply dot_scal.
Qed.

Variable mu : R.
Hypothesis mu_pos : 0 < mu.
Variable K : nat.
Variable solve : vector -> policy X.       (* the policy found at a point of the cover *)
Variables eps0 delta0 : R.
Hypothesis eps0_le_1 : eps0 <= 1.
Hypothesis solved : forall c, cover d mu K c ->
  (1 - eps0) * Jstar (normalised c) - delta0 <= J (normalised c) (solve c).

(** The oracle's error, for the weight as it is before normalisation. *)
Lemma solved_at c p : cover d mu K c ->
  (1 - eps0) * dot d c (G p) <= dot d c (G (solve c)) + delta0 * sum d c.
Proof.
  intros Hc. pose proof (cover_sum_pos d mu mu_pos K c Hc) as S. pose proof (cover_nonneg d mu mu_pos K c Hc) as N.
  pose proof (solved c Hc) as H.
  pose proof (value_le_optimum d X Jstar (normalised c) p J_optimum (normalised_simplex c N S)) as Le.
  rewrite value_normalised in H, Le by assumption.
  assert (E : (1 - eps0) * (/ sum d c * dot d c (G p)) - delta0 <= / sum d c * dot d c (G (solve c))) by nra.
  apply Rmult_le_compat_l with (r := sum d c) in E; [| lra].
  replace (sum d c * ((1 - eps0) * (/ sum d c * dot d c (G p)) - delta0))
    with ((1 - eps0) * dot d c (G p) - delta0 * sum d c) in E by (field; lra).
  replace (sum d c * (/ sum d c * dot d c (G (solve c)))) with (dot d c (G (solve c))) in E by (field; lra).
  lra.
Qed.

(** The core: F bounds the regulariser of the solved policies, A the difference of their vertex values. The tail costs
    in proportion to w_k, the largest weight. *)
Lemma core F A w : (∀ i < d, 0 <= w i) -> sum d w = 1 ->
  (forall c, cover d mu K c -> regulariser X (solve c) <= F) ->
  (forall c c', cover d mu K c -> cover d mu K c' -> ∀ i < d, G (solve c) i - G (solve c') i <= A) ->
  exists c k, cover d mu K c /\ (k < d)%nat /\
    (1 - eps0) / V d mu * Jstar w -
      (delta0 / V d mu + (1 - / V d mu) * F + w k * ((INR d - 1) * (alpha mu K * A / 4) / V d mu)) <= J w (solve c).
Proof.
  intros Nonneg Total HF HA. assert (Hw : simplex d w) by (split; assumption).
  pose proof (simplex_nonempty d w Hw) as Hd.
  (* v = w / max w *)
  destruct (largest_exists d w Hd) as (k & Hk & Max).
  assert (Wk : 0 < w k).
  { destruct (Rle_lt_dec (w k) 0) as [Le | Lt]; [| assumption]. exfalso.
    assert (sum d w <= Σ _ < d, 0); [apply sum_le; intros i Hi; specialize (Max i Hi); lra |].
    rewrite sum_const in *. lra. }
  set (v := fun i => / w k * w i).
  assert (Iw : 0 < / w k) by (apply Rinv_0_lt_compat; assumption).
  assert (WV : forall g, dot d w g = w k * dot d v g).
  { intros g. unfold v. rewrite dot_scal. field. lra. }
  assert (Vbox : ∀ i < d, 0 <= v i <= 1).
  { intros i Hi. unfold v. split; [apply Rmult_le_pos; [lra | auto] |].
    rewrite <- (Rinv_l (w k)) by lra. apply Rmult_le_compat_l; [lra | auto]. }
  assert (Vsum : w k * sum d v = 1).
  { unfold v. rewrite sum_scal, Total. field. lra. }
  destruct (rounded_chain mu K v k mu_pos Hk) as (t & c & Chain & Cover & Mean & Big_k & Kind);
    [unfold v; field; lra | assumption |].
  pose proof (step_law_simplex d t Chain) as Law. destruct Law as [Law0 Law1].
  (* the best of the d policies solved on the chain *)
  destruct (largest_exists d (fun j => dot d v (G (solve (c j)))) Hd) as (b & Hb & Best).
  set (L := dot d v (G (solve (c b)))) in *.
  pose proof (mean_solved d X reward_nonneg d (step_law t) c (fun j => solve (c j)) (raise mu t) v F A (alpha mu K) k L)
    as Solved.
  set (m := Σ j < d, step_law t j * raise mu t j) in *.
  assert (Alpha : 0 < alpha mu K) by (apply alpha_pos; assumption).
  specialize (Solved ltac:(split; assumption) Mean ltac:(intros i Hi; apply Vbox; assumption)
    ltac:(intros j Hj; apply HF; auto) ltac:(intros j Hj; apply (raise_ge_1 d); assumption) ltac:(lra)
    ltac:(intros j Hj l Hl i Hi; apply HA; auto) Hk Big_k Kind Best).
  (* E ρ <= V_d *)
  assert (Le_V : m * L + (m - 1) * F * sum d v <= V d mu * L + (V d mu - 1) * F * sum d v).
  { pose proof (mean_raise d mu t Hd mu_pos Chain) as MR. fold m in MR.
    assert (0 <= L + F * sum d v).
    { assert (LF : dot d v (fun _ => - F) <= L).
      { apply dot_le; [intros i Hi; apply Vbox; assumption |]. intros i Hi. unfold G.
        pose proof (HF (c b) (Cover b Hb)). pose proof (reward_nonneg (solve (c b)) i Hi). lra. }
      rewrite dot_const in LF. lra. }
    nra. }
  pose proof (V_ge_1 d mu Hd mu_pos) as V1.
  exists (c b), k. split; [auto | split; [assumption |]].
  rewrite (value_is_linear d X w) by assumption. rewrite WV. fold L.
  set (tail_cost := (INR d - 1) * (alpha mu K * A / 4)) in *.
  enough (Goal : (1 - eps0) / V d mu * Jstar w <=
    w k * L + (delta0 / V d mu + (1 - / V d mu) * F + w k * (tail_cost / V d mu))) by lra.
  assert (Iv : 0 < / V d mu) by (apply Rinv_0_lt_compat; lra).
  apply (optimum_le d X); [assumption | assumption | apply Rmult_le_pos; lra | exists (solve (c b)); trivial |].
  intros p. rewrite (value_is_linear d X w p) by assumption. rewrite WV.
  (* convexity of J*: the value at v is the mean of the values at the chain *)
  assert (Up : (1 - eps0) * dot d v (G p) <= V d mu * L + (V d mu - 1) * F * sum d v + tail_cost + delta0 * sum d v).
  { apply Rle_trans with (Σ j < d, step_law t j * (dot d (c j) (G (solve (c j))) + delta0 * sum d (c j))).
    - assert (E : dot d v (G p) = Σ j < d, step_law t j * dot d (c j) (G p)).
      { rewrite <- dot_combination. apply dot_ext. intros i Hi. symmetry. auto. }
      rewrite E, <- sum_scal. apply sum_le. intros j Hj.
      pose proof (solved_at (c j) p (Cover j Hj)). specialize (Law0 j Hj). nra.
    - assert (E : (Σ j < d, step_law t j * sum d (c j)) = sum d v).
      { rewrite (sum_ext d _ (fun j => Σ i < d, step_law t j * c j i)) by (intros; symmetry; apply sum_scal).
        rewrite sum_swap. apply sum_ext. auto. }
      rewrite (sum_ext d _ (fun j =>
        step_law t j * dot d (c j) (G (solve (c j))) + delta0 * (step_law t j * sum d (c j))))
        by (intros; lra).
      rewrite sum_plus, sum_scal, E. lra. }
  apply Rmult_le_compat_l with (r := w k * / V d mu) in Up; [| apply Rmult_le_pos; lra].
  apply Rle_trans with (w k * / V d mu * ((1 - eps0) * dot d v (G p))); [right; unfold Rdiv; ring |].
  eapply Rle_trans; [apply Up |].
  replace (w k * / V d mu * (V d mu * L + (V d mu - 1) * F * sum d v + tail_cost + delta0 * sum d v))
    with (w k * L + (w k * sum d v) * ((1 - / V d mu) * F + delta0 / V d mu) + w k * (tail_cost / V d mu))
    by (field; lra).
  rewrite Vsum. lra.
Qed.
End Solved.

(** * Theorem 1'' and its relatives *)

(** What "the policy found at c" means: the oracle's error at the weight c / Σ c_i is (ε0, δ0). *)
Definition solves d (X : problem) Jstar mu K eps0 delta0 (solve : vector -> policy X) : Prop :=
  forall c, cover d mu K c ->
    (1 - eps0) * Jstar (normalised d c) - delta0 <= value d X (normalised d c) (solve c).

(** All rewards lie in [0, R_max], and f >= 0. *)
Definition bounded d (X : problem) reward_max : Prop :=
  forall p, (∀ i < d, 0 <= reward X p i <= reward_max) /\ 0 <= regulariser X p.

(** (d-1) α A / (4 V_d), what the coordinates below α cost *)
Definition tail_cost (d : nat) (mu : R) (K : nat) (A : R) : R := (INR d - 1) * (alpha mu K * A / 4) / V d mu.

Lemma tail_cost_nonneg d mu K A : (0 < d)%nat -> 0 < mu -> 0 <= A -> 0 <= tail_cost d mu K A.
Proof.
  intros Hd Hmu HA. pose proof (V_ge_1 d mu Hd Hmu). pose proof (alpha_pos mu Hmu K).
  pose proof (le_INR 1 d Hd) as D. simpl in D.
  unfold tail_cost. apply Rmult_le_pos; [apply Rmult_le_pos; [lra | nra] |]. apply Rlt_le, Rinv_0_lt_compat. lra.
Qed.

Lemma weight_le_1 d w k : simplex d w -> (k < d)%nat -> w k <= 1.
Proof. intros [Nonneg Total] Hk. rewrite <- Total. apply sum_term_le; assumption. Qed.

Lemma cover_weight d mu K c : 0 < mu -> cover d mu K c -> simplex d (normalised d c).
Proof.
  intros Hmu Hc.
  apply normalised_simplex; [apply (cover_nonneg d mu Hmu K) | apply (cover_sum_pos d mu Hmu K)]; assumption.
Qed.

Lemma mean_reward_range d X reward_max w p :
  bounded d X reward_max -> simplex d w -> 0 <= dot d w (reward X p) <= reward_max.
Proof.
  intros HB Hw. split.
  - apply sum_nonneg. intros i Hi. apply Rmult_le_pos; [apply Hw | apply HB]; assumption.
  - apply Rle_trans with (dot d w (fun _ => reward_max)).
    + apply dot_le; [apply Hw |]. intros i Hi. apply HB. assumption.
    + rewrite dot_const. destruct Hw as [_ ->]. lra.
Qed.

(** Theorem 1''. Let μ > 0, K >= 0, α = (1+μ)^(-K) and V_d = d / Σ_{k<d} (1+μ)^(-k/d). Let rewards lie in [0, R_max]
    and f >= 0; at every point of the cover a policy was found with error (ε0, δ0), ε0 <= 1, and f <= F. Then for
    every w in the simplex one of these policies has J_w >= (1-ε) J*_w - δ, with

      ε = 1 - (1-ε0)/V_d,   δ = δ0/V_d + (1 - 1/V_d) F + (d-1) α A / (4 V_d),   A = R_max + F.  *)
Theorem aligned_cover : forall d X Jstar mu K eps0 delta0 solve reward_max F,
  is_optimum d X Jstar -> bounded d X reward_max -> 0 < mu -> eps0 <= 1 ->
  solves d X Jstar mu K eps0 delta0 solve ->
  (forall c, cover d mu K c -> regulariser X (solve c) <= F) ->
  forall w, simplex d w -> exists c, cover d mu K c /\
    (1 - (1 - (1 - eps0) / V d mu)) * Jstar w
      - (delta0 / V d mu + (1 - / V d mu) * F + tail_cost d mu K (reward_max + F))
    <= value d X w (solve c).
Proof.
  intros d X Jstar mu K eps0 delta0 solve reward_max F HJ HB Hmu He Solved HF w Hw.
  destruct (core d X Jstar HJ) with (mu := mu) (K := K) (solve := solve) (eps0 := eps0) (delta0 := delta0) (F := F)
    (A := reward_max + F) (w := w) as (c & k & Hc & Hk & Claim); try assumption; try apply Hw.
  - intros p i Hi. apply HB. assumption.
  - intros c c' Hc Hc' i Hi. unfold vertex_values.
    destruct (HB (solve c)) as [Hr Hf]. destruct (HB (solve c')) as [Hr' Hf'].
    specialize (Hr i Hi). specialize (Hr' i Hi). specialize (HF c' Hc'). lra.
  - exists c. split; [assumption |]. fold (tail_cost d mu K (reward_max + F)) in Claim.
    assert (0 <= tail_cost d mu K (reward_max + F)).
    { apply tail_cost_nonneg; [lia | assumption |]. destruct (HB (solve c)) as [Hr Hf].
      specialize (Hr k Hk). specialize (HF c Hc). lra. }
    pose proof (weight_le_1 d w k Hw Hk). nra.
Qed.

(** The regularisers of optimal policies differ by at most R_max: f(π_c) - f(π) <= ⟨c, R(π_c) - R(π)⟩ for every π. *)
Lemma regularisers_differ d X Jstar mu K solve reward_max :
  is_optimum d X Jstar -> bounded d X reward_max -> 0 < mu -> solves d X Jstar mu K 0 0 solve ->
  forall c p, cover d mu K c -> regulariser X (solve c) - regulariser X p <= reward_max.
Proof.
  intros HJ HB Hmu Solved c p Hc.
  pose proof (cover_weight d mu K c Hmu Hc) as Hw.
  pose proof (value_le_optimum d X Jstar _ p HJ Hw) as Le. specialize (Solved c Hc). unfold value in *.
  pose proof (mean_reward_range d X reward_max _ (solve c) HB Hw).
  pose proof (mean_reward_range d X reward_max _ p HB Hw).
  lra.
Qed.

(** Theorem 1'' for exact solves (ε0 = δ0 = 0):

      ε = 1 - 1/V_d,   δ = (1 - 1/V_d) F + (d-1) α A / (4 V_d),   A = R_max + min(F, R_max).  *)
Theorem aligned_cover_exact : forall d X Jstar mu K solve reward_max F,
  is_optimum d X Jstar -> bounded d X reward_max -> 0 < mu -> solves d X Jstar mu K 0 0 solve ->
  (forall c, cover d mu K c -> regulariser X (solve c) <= F) ->
  forall w, simplex d w -> exists c, cover d mu K c /\
    (1 - (1 - / V d mu)) * Jstar w - ((1 - / V d mu) * F + tail_cost d mu K (reward_max + Rmin F reward_max))
    <= value d X w (solve c).
Proof.
  intros d X Jstar mu K solve reward_max F HJ HB Hmu Solved HF w Hw.
  pose proof (regularisers_differ d X Jstar mu K solve reward_max HJ HB Hmu Solved) as Differ.
  destruct (core d X Jstar HJ) with (mu := mu) (K := K) (solve := solve) (eps0 := 0) (delta0 := 0) (F := F)
    (A := reward_max + Rmin F reward_max) (w := w) as (c & k & Hc & Hk & Claim); try assumption; try apply Hw; try lra.
  - intros p i Hi. apply HB. assumption.
  - intros c c' Hc Hc' i Hi. unfold vertex_values.
    destruct (HB (solve c)) as [Hr Hf]. destruct (HB (solve c')) as [Hr' Hf'].
    specialize (Hr i Hi). specialize (Hr' i Hi). specialize (HF c' Hc'). specialize (Differ c' (solve c) Hc').
    unfold Rmin. destruct Rle_dec; lra.
  - exists c. split; [assumption |]. fold (tail_cost d mu K (reward_max + Rmin F reward_max)) in Claim.
    assert (0 <= tail_cost d mu K (reward_max + Rmin F reward_max)).
    { apply tail_cost_nonneg; [lia | assumption |]. destruct (HB (solve c)) as [Hr Hf].
      specialize (Hr k Hk). specialize (HF c Hc). unfold Rmin. destruct Rle_dec; lra. }
    pose proof (weight_le_1 d w k Hw Hk).
    replace ((1 - 0) / V d mu) with (/ V d mu) in Claim by (unfold Rdiv; ring). unfold Rdiv at 1 in Claim. nra.
Qed.

(** Where a policy with f = 0 is among the policies, F may be taken as R_max + δ0: every policy found has f <= R_max +
    δ0. *)
Theorem regulariser_of_solved : forall d X Jstar mu K eps0 delta0 solve reward_max reference,
  is_optimum d X Jstar -> bounded d X reward_max -> 0 < mu -> eps0 <= 1 ->
  solves d X Jstar mu K eps0 delta0 solve -> regulariser X reference = 0 ->
  forall c, cover d mu K c -> regulariser X (solve c) <= reward_max + delta0.
Proof.
  intros d X Jstar mu K eps0 delta0 solve reward_max reference HJ HB Hmu He Solved Href c Hc.
  pose proof (cover_weight d mu K c Hmu Hc) as Hw.
  pose proof (value_le_optimum d X Jstar _ reference HJ Hw) as Le. specialize (Solved c Hc).
  unfold value in *. rewrite Href in Le.
  pose proof (mean_reward_range d X reward_max _ (solve c) HB Hw).
  pose proof (mean_reward_range d X reward_max _ reference HB Hw).
  nra.
Qed.

(** Theorem 1''' (f = 0). Let every objective be divided by its own maximum, so that 0 <= R_i(π) <= 1 and sup_π R_i(π)
    = 1 for every i, and let solves be exact. Then δ = 0 and ε = 1 - (1 - (d-1) α/4) / V_d: for every w in the simplex
    a policy found at the cover has

      J_w >= ((1 - (d-1) α/4) / V_d) J*_w.  *)
Theorem aligned_cover_multiplicative : forall d X Jstar mu K solve,
  is_optimum d X Jstar -> (forall p, regulariser X p = 0) -> (forall p, ∀ i < d, 0 <= reward X p i) ->
  (∀ i < d, is_lub (fun x => exists p, x = reward X p i) 1) -> 0 < mu -> solves d X Jstar mu K 0 0 solve ->
  forall w, simplex d w -> exists c, cover d mu K c /\
    (1 - (1 - (1 - (INR d - 1) * alpha mu K / 4) / V d mu)) * Jstar w <= value d X w (solve c).
Proof.
  intros d X Jstar mu K solve HJ Hf Hr Top Hmu Solved w Hw.
  assert (Le1 : forall p, ∀ i < d, reward X p i <= 1).
  { intros p i Hi. destruct (Top i Hi) as [Up _]. apply Up. exists p. reflexivity. }
  destruct (core d X Jstar HJ) with (mu := mu) (K := K) (solve := solve) (eps0 := 0) (delta0 := 0) (F := 0)
    (A := 1) (w := w) as (c & k & Hc & Hk & Claim); try assumption; try apply Hw; try lra.
  - intros c _. rewrite Hf. lra.
  - intros c c' _ _ i Hi. unfold vertex_values. rewrite !Hf.
    pose proof (Le1 (solve c) i Hi). pose proof (Hr (solve c') i Hi). lra.
  - exists c. split; [assumption |]. fold (tail_cost d mu K 1) in Claim.
    (* J*_w >= w_k sup R_k = w_k *)
    assert (Jk : w k <= Jstar w).
    { destruct (Req_dec (w k) 0) as [Z | Z].
      - rewrite Z. apply Rle_trans with (value d X w (solve c)); [| apply value_le_optimum; assumption].
        unfold value. rewrite Hf. assert (0 <= dot d w (reward X (solve c))); [| lra].
        apply sum_nonneg. intros i Hi. apply Rmult_le_pos; [apply Hw |]; auto.
      - destruct Hw as [Nonneg Total]. pose proof (Nonneg k Hk). destruct (Top k Hk) as [_ Least].
        assert (Q : 1 <= Jstar w / w k).
        { apply Least. intros x [p ->]. apply Rmult_le_reg_r with (w k); [lra |].
          replace (Jstar w / w k * w k) with (Jstar w) by (field; assumption).
          apply Rle_trans with (value d X w p); [| apply value_le_optimum; [assumption | split; assumption]].
          unfold value. rewrite Hf. assert (w k * reward X p k <= dot d w (reward X p)); [| lra].
          apply (sum_term_le d (fun i => w i * reward X p i) k); [| assumption].
          intros i Hi. apply Rmult_le_pos; auto. }
        apply Rmult_le_compat_r with (r := w k) in Q; [| assumption].
        replace (Jstar w / w k * w k) with (Jstar w) in Q by (field; assumption). lra. }
    assert (Tail : 0 <= tail_cost d mu K 1) by (apply tail_cost_nonneg; [lia | assumption | lra]).
    pose proof (V_ge_1 d mu) as V1. specialize (V1 ltac:(lia) Hmu).
    replace (1 - (1 - (1 - (INR d - 1) * alpha mu K / 4) / V d mu)) with (/ V d mu - tail_cost d mu K 1)
      by (unfold tail_cost; field; lra).
    replace ((1 - 0) / V d mu) with (/ V d mu) in Claim by (unfold Rdiv; ring). unfold Rdiv at 1 in Claim. nra.
Qed.

(** ε of exact solves in closed form, ε = 1 - 1/V_d = 1 - (1/d) Σ_{k<d} (1+μ)^(-k/d), and ε <= μ (d-1) / (2d). *)
Theorem epsilon_of_exact_solves : forall d mu, (0 < d)%nat -> 0 < mu ->
  1 - / V d mu = 1 - / INR d * (Σ k < d, Rpower (1 + mu) (- (INR k / INR d))) /\
  1 - / V d mu <= mu * (INR d - 1) / (2 * INR d).
Proof.
  intros d mu Hd Hmu. assert (D : 0 < INR d) by (apply lt_0_INR; assumption).
  pose proof (powers_pos d mu d Hd Hmu Hd) as S.
  assert (Power : forall k, / ratio d mu ^ k = Rpower (1 + mu) (- (INR k / INR d))).
  { intros k. rewrite <- Rpower_pow by (pose proof (ratio_gt_1 d mu Hd Hmu); lra). unfold ratio.
    rewrite Rpower_mult, <- Rpower_Ropp. f_equal. unfold Rdiv. ring. }
  assert (Closed : / V d mu = / INR d * (Σ k < d, Rpower (1 + mu) (- (INR k / INR d)))).
  { rewrite <- (sum_ext d _ _ (fun k _ => Power k)). unfold V. field. split; lra. }
  split; [rewrite Closed; reflexivity |].
  (* (1+μ)^(-k/d) >= 1 - (k/d) ln(1+μ) >= 1 - k μ/d *)
  assert (Each : ∀ k < d, 1 - mu / INR d * INR k <= Rpower (1 + mu) (- (INR k / INR d))).
  { intros k _. pose proof (ln_le_minus_1 (1 + mu)) as Ln. pose proof (pos_INR k). unfold Rpower.
    set (x := - (INR k / INR d) * ln (1 + mu)).
    assert (1 + x <= exp x).
    { destruct (Req_dec x 0) as [-> | Nx]; [rewrite exp_0; lra | apply Rlt_le, exp_ineq1; assumption]. }
    assert (0 <= INR k / INR d) by (apply Rmult_le_pos; [lra | apply Rlt_le, Rinv_0_lt_compat; assumption]).
    assert (INR k / INR d * ln (1 + mu) <= INR k / INR d * mu) by (apply Rmult_le_compat_l; lra).
    assert (x = - (INR k / INR d * ln (1 + mu))) by (unfold x; ring).
    replace (mu / INR d * INR k) with (INR k / INR d * mu) by (unfold Rdiv; ring). lra. }
  apply sum_le in Each. rewrite sum_minus, sum_const, sum_scal in Each.
  assert (Gauss : forall n, (Σ k < n, INR k) = INR n * (INR n - 1) / 2).
  { induction n; [simpl; lra |]. rewrite S_INR. simpl sum. rewrite IHn. lra. }
  rewrite Gauss in Each. rewrite Closed.
  apply Rmult_le_compat_l with (r := / INR d) in Each; [| apply Rlt_le, Rinv_0_lt_compat; assumption].
  replace (/ INR d * (INR d * 1 - mu / INR d * (INR d * (INR d - 1) / 2)))
    with (1 - mu * (INR d - 1) / (2 * INR d)) in Each by (field; lra).
  lra.
Qed.

Print Assumptions aligned_cover.
Print Assumptions aligned_cover_exact.
Print Assumptions regulariser_of_solved.
Print Assumptions aligned_cover_multiplicative.
Print Assumptions epsilon_of_exact_solves.
