{{- define "battlescope-migrate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "db-migrate" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-db-migrate" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "battlescope-migrate.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "battlescope-migrate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "battlescope-migrate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "battlescope-migrate.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "battlescope-migrate.selectorLabels" -}}
app.kubernetes.io/name: battlescope-migrate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "battlescope-migrate.labels" -}}
{{ include "battlescope-migrate.selectorLabels" . }}
app.kubernetes.io/component: migration
app.kubernetes.io/part-of: battlescope
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The annotations that make an object a hook: (dict "root" $ "weight" 0). Nothing for a plain Job. */}}
{{- define "battlescope-migrate.hook" -}}
{{- if eq .root.Values.hook "helm" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation
{{- else if eq .root.Values.hook "argocd" -}}
argocd.argoproj.io/hook: PreSync
argocd.argoproj.io/sync-wave: {{ .weight | quote }}
argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
{{- end -}}
{{- end -}}

{{/*
An init container that makes a service wait for the migrations. In the chart of the service, which has this one as a
dependency:

  initContainers:
    - {{- include "battlescope-migrate.wait-container" (index .Subcharts "battlescope-migrate") | nindent 6 }}
  volumes:
    - {{- include "battlescope-migrate.wait-volume" (index .Subcharts "battlescope-migrate") | nindent 6 }}

and "enableServiceLinks: false" beside them, unless no Service is named "postgres".
*/}}
{{- define "battlescope-migrate.wait-container" -}}
name: wait-for-migrations
image: {{ include "battlescope-migrate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["status", "--wait", {{ .Values.wait.limit | quote }}, "--phase", "pre"]
terminationMessagePolicy: FallbackToLogsOnError
env:
  - name: DATABASE_URL_FILE
    value: /run/secrets/database/{{ .Values.wait.urlKey }}
volumeMounts:
  - name: migration-status
    mountPath: /run/secrets/database
    readOnly: true
securityContext:
  {{- omit .Values.podSecurityContext "fsGroup" | toYaml | nindent 2 }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{/* The volume of that container. All users of the pod can read it: the service's own user and group are not known here. */}}
{{- define "battlescope-migrate.wait-volume" -}}
name: migration-status
secret:
  secretName: {{ .Values.wait.existingSecret }}
  defaultMode: 292 # 0444
{{- end -}}
